// What one receiver was shown: every conversation's messages by seq_id, over all of its connections.
import { LiveOrder, type Named, ResumeAnswer } from "./wire-order.ts";

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
  /** resync-required came: what comes is held until `resumed`, behind what is held already. When it closes a resume, `answered` comes first. */
  hold(named: readonly string[]): void;
  /** new-message or message-stored. */
  frame(conversationId: string, seqId: number): void;
  /** The frame that closes the resume came. */
  answered(named: Named): void;
  /** Nothing is asked for any more, neither by resume nor of the history: what was held is shown in order. */
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
  /**
   * Shown beyond one that it does not have, while nothing was asked for: at once, and for good, whatever comes later.
   * `conversation seq after seq`
   */
  readonly gaps: readonly string[];
  /** Of conversations that it is not in. */
  readonly strays: number;
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
  let answer: ResumeAnswer | undefined;
  /** From the closing frame or resync-required to where nothing is held any more. */
  let live: LiveOrder | undefined;
  /** The first of a conversation on a connection that did not resume may be any: nothing was said of what was before. */
  let anyFirst = true;
  /** By conversation and the message that came too early: it may be found as it comes and as it is shown. */
  const gaps = new Map<string, string>();
  let strays = 0;
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
  const gap = (conversationId: string, seqId: number, last: number): void => {
    gaps.set(`${conversationId} ${seqId}`, `${conversationId} ${seqId} after ${last}`);
  };
  const lacksBefore = (known: Shown, seqId: number): boolean => {
    if (known.highest === 0 && anyFirst) return false;
    // Those before `highest` that it lacks have been a gap already, or were never asked for.
    return seqId > known.highest + 1;
  };
  const show = (conversationId: string, seqId: number): void => {
    const known = of(conversationId);
    if (known.seqIds.has(seqId)) {
      duplicates += 1;
      return;
    }
    if (seqId < known.highest) outOfOrder += 1;
    else if (lacksBefore(known, seqId)) gap(conversationId, seqId, known.highest);
    add(known, seqId);
  };

  return {
    name,
    connected(resume) {
      held = resume ? [] : undefined;
      answer = resume ? new ResumeAnswer(this.cursors()) : undefined;
      live = undefined;
      anyFirst = !resume;
    },
    hold(named) {
      held ??= [];
      if (live !== undefined) live.resync(named);
      else if (answer === undefined) live = new LiveOrder(this.cursors(), named);
    },
    frame(conversationId, seqId) {
      if (!expected.has(conversationId)) {
        strays += 1;
        return;
      }
      if (held === undefined) {
        show(conversationId, seqId);
        return;
      }
      held.push([conversationId, seqId]);
      answer?.take(conversationId, seqId);
      const last = live?.take(conversationId, seqId);
      if (last !== undefined) gap(conversationId, seqId, last);
    },
    answered(named) {
      if (answer === undefined) return;
      outOfOrder += answer.disordered(named).length;
      live = new LiveOrder(answer.heads(), named);
      answer = undefined;
    },
    resumed() {
      const frames = held ?? [];
      held = undefined;
      live = undefined;
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
      return [...gaps.values()];
    },
    get strays() {
      return strays;
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
