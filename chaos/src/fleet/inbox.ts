// What one device has of its conversations, and what it shows: in order of seq_id, each once, nothing beyond a gap (as CONTRACT §4 asks of a
// receiver, and the client SDK does).

export interface Message {
  readonly conversationId: string;
  readonly seqId: number;
  /** As the load numbers them; undefined where only the place is known. */
  readonly content: string | undefined;
}

export interface Shown {
  readonly seqId: number;
  readonly content: string | undefined;
}

/** A class with private fields, not a closure: there are thousands. */
export class Inbox {
  readonly #conversations = new Map<string, { shown: Shown[]; waiting: Map<number, Shown> }>();
  /** Frames that brought what was there already. */
  duplicates = 0;
  /** Frames that came beyond a gap while nothing was being resumed. */
  gaps = 0;
  /** Answers to resume whose messages came in another order. */
  disordered = 0;

  /** @param resuming frames beyond a gap are to be expected: its filling is on the way */
  take({ conversationId, seqId, content }: Message, resuming: boolean): void {
    let conversation = this.#conversations.get(conversationId);
    if (conversation === undefined) {
      conversation = { shown: [], waiting: new Map() };
      this.#conversations.set(conversationId, conversation);
    }
    const { shown, waiting } = conversation;
    if (seqId <= shown.length || waiting.has(seqId)) {
      this.duplicates += 1;
      return;
    }
    if (seqId > shown.length + 1 && !resuming) this.gaps += 1;
    waiting.set(seqId, { seqId, content });
    for (let next = waiting.get(shown.length + 1); next !== undefined; next = waiting.get(shown.length + 1)) {
      waiting.delete(next.seqId);
      shown.push(next);
    }
  }

  /** For `resume`: up to where everything is there. */
  cursors(): Record<string, number> {
    return Object.fromEntries([...this.#conversations].map(([id, { shown }]) => [id, shown.length]));
  }

  /** Up to where everything is there, of one conversation. */
  cursor(conversationId: string): number {
    return this.#conversations.get(conversationId)?.shown.length ?? 0;
  }

  /** Of one conversation, oldest first. */
  shown(conversationId: string): readonly Shown[] {
    return this.#conversations.get(conversationId)?.shown ?? [];
  }
}
