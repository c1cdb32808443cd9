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
  /** From here on everything is to come: it has all that was before. */
  begin(): void;
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
  /** Shown after a later one of the same conversation, or given out of order in answer to a resume. */
  readonly outOfOrder: number;
  /** Shown beyond a gap, and nobody had said that something is missing: silent, though it may be filled later. */
  readonly gaps: number;
  /** Of conversations that it is not in. */
  readonly foreign: number;
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
  let gaps = 0;
  let foreign = 0;
  let begun = false;

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
    if (begun && seqId > known.contiguous + 1) gaps += 1;
    add(known, seqId);
  };
  /** What came live before the resume was read comes again in its answer: of what came twice the last one counts. */
  const ordered = (frames: readonly (readonly [string, number])[]): boolean => {
    const last = new Map(frames.map(([conversationId, seqId], index) => [`${conversationId} ${seqId}`, index]));
    const highest = new Map<string, number>();
    return frames.every(([conversationId, seqId], index) => {
      if (last.get(`${conversationId} ${seqId}`) !== index) return true;
      const inOrder = seqId > (highest.get(conversationId) ?? 0);
      highest.set(conversationId, seqId);
      return inOrder;
    });
  };

  return {
    name,
    connected(resume) {
      held = resume ? [] : undefined;
    },
    begin() {
      begun = true;
    },
    hold() {
      held ??= [];
    },
    frame(conversationId, seqId) {
      if (!expected.has(conversationId)) foreign += 1;
      if (held === undefined) show(conversationId, seqId);
      else held.push([conversationId, seqId]);
    },
    resumed() {
      const frames = held ?? [];
      held = undefined;
      if (!ordered(frames)) outOfOrder += 1;
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
    get gaps() {
      return gaps;
    },
    get foreign() {
      return foreign;
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
