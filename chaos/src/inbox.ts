// What one receiver was shown: every conversation's messages by seq_id, over all of its connections.

/** Of im-logic's history. */
export interface Stored {
  readonly conversationId: string;
  readonly seqId: number;
  readonly clientMsgId: string;
}

export interface Inbox {
  readonly name: string;
  /**
   * A connection begins. With `resume`, what comes is held until `resumed`, as a client does: what it missed is older than what is live.
   */
  connected(resume: boolean): void;
  /** resync-required came: what comes is held until `resumed`, behind what is held already. */
  hold(): void;
  /** new-message or message-stored. */
  frame(conversationId: string, seqId: number): void;
  /** The resume was answered, by resumed or by resync-required: what was held is shown in order. */
  resumed(): void;
  /** Fetched from the history after resync-required. */
  fill(conversationId: string, seqIds: readonly number[]): void;
  /** By conversation, the seq_id up to which nothing is missing; a conversation of which nothing came is not there. */
  cursors(): Readonly<Record<string, number>>;
  /** Whether it has it, shown or fetched. */
  has(conversationId: string, seqId: number): boolean;
  /** Frames whose message it had. */
  readonly duplicates: number;
  /** Shown after a later one of the same conversation. */
  readonly outOfOrder: number;
  readonly fetched: number;
  compare(history: readonly Stored[]): {
    readonly delivered: number;
    /** `conversation seq` */
    readonly missing: readonly string[];
  };
}

interface Shown {
  readonly seqIds: Set<number>;
  highest: number;
  /** All up to here are there. */
  contiguous: number;
}

/** @param conversationIds those it is a member of, from their beginning */
export function createInbox(name: string, conversationIds: readonly string[]): Inbox {
  const shown = new Map<string, Shown>();
  const expected = new Set(conversationIds);
  let held: (readonly [string, number])[] | undefined;
  let duplicates = 0;
  let outOfOrder = 0;
  let fetched = 0;

  const of = (conversationId: string): Shown => {
    const known = shown.get(conversationId) ?? { seqIds: new Set(), highest: 0, contiguous: 0 };
    shown.set(conversationId, known);
    return known;
  };
  const add = (known: Shown, seqId: number): void => {
    known.seqIds.add(seqId);
    known.highest = Math.max(known.highest, seqId);
    while (known.seqIds.has(known.contiguous + 1)) known.contiguous += 1;
  };
  const show = (conversationId: string, seqId: number): void => {
    const known = of(conversationId);
    if (known.seqIds.has(seqId)) {
      duplicates += 1;
      return;
    }
    if (seqId < known.highest) outOfOrder += 1;
    add(known, seqId);
  };

  return {
    name,
    connected(resume) {
      held = resume ? [] : undefined;
    },
    hold() {
      held ??= [];
    },
    frame(conversationId, seqId) {
      if (held === undefined) show(conversationId, seqId);
      else held.push([conversationId, seqId]);
    },
    resumed() {
      const frames = held ?? [];
      held = undefined;
      for (const [conversationId, seqId] of frames.toSorted(([, a], [, b]) => a - b)) show(conversationId, seqId);
    },
    fill(conversationId, seqIds) {
      const known = of(conversationId);
      for (const seqId of seqIds.filter((one) => !known.seqIds.has(one))) {
        fetched += 1;
        add(known, seqId);
      }
    },
    cursors: () => Object.fromEntries([...shown].map(([id, { contiguous }]) => [id, contiguous])),
    has: (conversationId, seqId) => shown.get(conversationId)?.seqIds.has(seqId) ?? false,
    get duplicates() {
      return duplicates;
    },
    get outOfOrder() {
      return outOfOrder;
    },
    get fetched() {
      return fetched;
    },
    compare(history) {
      const mine = history.filter(({ conversationId }) => expected.has(conversationId));
      const missing = mine.filter(({ conversationId, seqId }) => !of(conversationId).seqIds.has(seqId));
      return {
        delivered: mine.length - missing.length,
        missing: missing.map(({ conversationId, seqId }) => `${conversationId} ${seqId}`),
      };
    },
  };
}
