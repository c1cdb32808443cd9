// What came on one connection, in the order of the wire: what a receiver shows later is sorted and filled up, and would hide how it came.

/** Conversations that resync-required names, empty for all; "none" where nothing is known to be missing. */
export type Named = readonly string[] | "none";

function names(named: Named, conversationId: string): boolean {
  return named !== "none" && (named.length === 0 || named.includes(conversationId));
}

/** What comes between `connected` and the frame that closes the resume. A class with private fields: there are thousands. */
export class ResumeAnswer {
  readonly #cursors: Readonly<Record<string, number>>;
  readonly #came = new Map<string, number[]>();

  /** @param cursors as they were sent; a conversation that is not there is asked for from its beginning */
  constructor(cursors: Readonly<Record<string, number>>) {
    this.#cursors = cursors;
  }

  take(conversationId: string, seqId: number): void {
    const came = this.#came.get(conversationId);
    if (came === undefined) this.#came.set(conversationId, [seqId]);
    else came.push(seqId);
  }

  /**
   * Of the conversations that it has to bring whole, those whose messages all came, but not in order. Live frames may come before the answer
   * begins, and im-logic has stored them by then: the answer brings them again, so that all that is beyond the cursor comes one by one once,
   * whatever came before it.
   */
  disordered(named: Named): readonly string[] {
    return [...this.#came].flatMap(([conversationId, came]) => {
      if (names(named, conversationId)) return [];
      const cursor = this.#cursors[conversationId] ?? 0;
      const highest = Math.max(cursor, ...came);
      let inOrder = cursor;
      for (const seqId of came) if (seqId === inOrder + 1) inOrder = seqId;
      const beyond = new Set(came.filter((seqId) => seqId > cursor));
      // With a hole it is no matter of order: a gap.
      return inOrder < highest && beyond.size === highest - cursor ? [conversationId] : [];
    });
  }

  /** Up to where it came, by conversation. */
  heads(): Readonly<Record<string, number>> {
    const came = [...this.#came].map(([id, seqIds]) => [id, Math.max(this.#cursors[id] ?? 0, ...seqIds)] as const);
    return { ...this.#cursors, ...Object.fromEntries(came) };
  }
}

/** What comes live while the history is read: the reading would fill a gap that nobody had named. */
export class LiveOrder {
  readonly #last: Map<string, number>;

  /** @param heads up to where all had come before; of those that are named the next may be any */
  constructor(heads: Readonly<Record<string, number>>, named: Named) {
    this.#last = new Map(Object.entries(heads).filter(([id]) => !names(named, id)));
  }

  /** resync-required came once more. */
  resync(named: Named): void {
    for (const id of this.#last.keys()) if (names(named, id)) this.#last.delete(id);
  }

  /** @returns after which one it leaves a gap; repeats of older ones are none */
  take(conversationId: string, seqId: number): number | undefined {
    const last = this.#last.get(conversationId);
    this.#last.set(conversationId, Math.max(last ?? 0, seqId));
    return last !== undefined && seqId > last + 1 ? last : undefined;
  }
}
