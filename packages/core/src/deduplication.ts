// The deduplication window: the same message of a user, named by its client_msg_id, goes upstream once (CONTRACT §5).
import { Code } from "@connectrpc/connect";
import type { Counters } from "./counters.ts";
import { failure } from "./errors.ts";
import { createShares, type SharesOptions } from "./limits/shares.ts";
import type { OutgoingMessage } from "./upstream.ts";

export interface DeduplicationOptions {
  /** How long a message that was stored is remembered at least, and at most twice as long. Default: 5 minutes. */
  readonly windowMs?: number;
  /** How many are remembered at most; then the older half goes. Default: 100,000. */
  readonly maxStored?: number;
  /** What the names of the remembered ones take at most, in characters. Default: 16 Mi. */
  readonly maxStoredLength?: number;
  /** What one user may have on its way at a time, repeats included; of a message its content counts. */
  readonly share?: Pick<SharesOptions, "maxCount" | "maxLength">;
  readonly counters: Pick<Counters, "upstreamDuplicates" | "refused">;
  readonly now: () => number;
}

export interface Deduplication {
  /** Messages that are on their way or remembered as stored. */
  readonly remembered: number;
  /** Users with a message on its way. */
  readonly busyUsers: number;
  /**
   * Publishes a message unless it is stored, or on its way, already: then that one counts, and what becomes of it. One that fails is
   * forgotten, so that it can be sent again.
   * Rejects as `publish` does; with `already_exists` CLIENT_MSG_ID_REUSED where the user gave the same id to another message; with
   * `resource_exhausted` TOO_MANY_PENDING where too much of the user's is on its way.
   */
  once(userId: string, message: OutgoingMessage, publish: () => Promise<void>): Promise<"accepted" | "duplicate">;
}

interface Known {
  readonly print: number;
  /** Undefined once it is stored. */
  published: Promise<void> | undefined;
}

export function createDeduplication(options: DeduplicationOptions): Deduplication {
  const { windowMs = 300_000, maxStored = 100_000, maxStoredLength = 16 * 1024 * 1024, counters, now } = options;
  /** By name, in two generations: the older one goes as a whole, which costs a message nothing. */
  let older = new Map<string, Known>();
  let younger = new Map<string, Known>();
  /** Since the last turn. */
  let stored = { messages: 0, length: 0, sinceMs: now() };
  const shares = createShares({ what: "messages", counters, ...options.share });

  const turnOver = (): void => {
    const nowMs = now();
    const ageMs = nowMs - stored.sinceMs;
    if (ageMs < windowMs && stored.messages < maxStored / 2 && stored.length < maxStoredLength / 2) {
      return;
    }
    const gone = ageMs < 2 * windowMs ? [older] : [older, younger];
    older = ageMs < 2 * windowMs ? younger : new Map();
    younger = new Map();
    for (const generation of gone) {
      for (const [name, known] of generation) {
        if (known.published !== undefined) {
          younger.set(name, known);
        }
      }
    }
    stored = { messages: 0, length: 0, sinceMs: nowMs };
  };

  const forget = (name: string, known: Known): void => {
    for (const generation of [older, younger]) {
      if (generation.get(name) === known) {
        generation.delete(name);
      }
    }
  };

  return {
    get remembered() {
      return older.size + younger.size;
    },
    get busyUsers() {
      return shares.users;
    },

    async once(userId, message, publish) {
      const name = `${userId.length} ${userId}${message.clientMsgId}`;
      const print = fingerprint(message);
      const { length } = message.content;
      turnOver();
      const first = younger.get(name) ?? older.get(name);
      if (first !== undefined) {
        if (first.print !== print) {
          throw failure(Code.AlreadyExists, "CLIENT_MSG_ID_REUSED", "this client_msg_id is another message's");
        }
        // Who waits holds the message: a repeat takes as much of a share as the first.
        if (first.published !== undefined) {
          const share = shares.take(userId, length);
          await first.published.finally(() => shares.giveBack(userId, share, length));
        }
        counters.upstreamDuplicates += 1;
        return "duplicate";
      }
      const share = shares.take(userId, length);
      const known: Known = { print, published: undefined };
      try {
        known.published = publish();
        younger.set(name, known);
        await known.published;
        known.published = undefined;
        stored.messages += 1;
        stored.length += name.length;
      } catch (thrown) {
        forget(name, known);
        throw thrown;
      } finally {
        shares.giveBack(userId, share, length);
      }
      return "accepted";
    },
  };
}

/**
 * 53 bits over what a message says: of two different ones of a user it is the same by chance once in 10^16. Whoever makes them collide on
 * purpose loses a message of their own.
 */
function fingerprint({ conversationId, messageType, content }: OutgoingMessage): number {
  // FNV-1a, and the same with another start and prime. The length tells where the id ends, which may contain anything.
  let one = 0x811c9dc5 ^ messageType;
  let other = 0x9e3779b9 ^ conversationId.length;
  for (let index = 0; index < conversationId.length; index++) {
    const unit = conversationId.charCodeAt(index);
    one = Math.imul(one ^ unit, 0x01000193);
    other = Math.imul(other ^ unit, 0x85ebca6b);
  }
  for (let index = 0; index < content.length; index++) {
    const unit = content.charCodeAt(index);
    one = Math.imul(one ^ unit, 0x01000193);
    other = Math.imul(other ^ unit, 0x85ebca6b);
  }
  return (one >>> 0) * 2 ** 21 + (other >>> 11);
}
