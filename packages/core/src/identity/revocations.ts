// Tokens that were taken back before their end. Kept in this process only: a restart forgets them.
import type { Log } from "../adapters.ts";
import type { Identity } from "./token.ts";

/** Whose tokens, or sockets: all that is given must fit; "" is anybody's. One at least is given. */
export interface Target {
  readonly userId: string;
  readonly deviceId: string;
  /** `sid`. */
  readonly sessionId: string;
  /** `jti`. */
  readonly tokenId: string;
}

export interface Revocations {
  /**
   * @param atMs Unix milliseconds of the revocation. Without a session or a token named, what was issued later is good: its user has logged in
   * again
   */
  add(target: Target, atMs: number): void;
  /** Whether this token was taken back. */
  has(identity: Identity): boolean;
}

export interface RevocationsOptions {
  /** The longest life of a token: after it none that was revoked is left. */
  readonly holdMs: number;
  /** The oldest is forgotten beyond it. Default: 100,000. */
  readonly maxEntries?: number;
  readonly log: Log;
  /** Unix milliseconds. */
  readonly now: () => number;
}

interface Entry {
  readonly target: Target;
  readonly atMs: number;
  readonly untilMs: number;
}

export function createRevocations({ holdMs, maxEntries = 100_000, log, now }: RevocationsOptions): Revocations {
  /** By what they name, the oldest first; all are held equally long. */
  const entries = new Map<string, Entry>();
  /** By the narrowest name in each: a token is looked up by its own four. */
  const byName = new Map<string, Map<string, Entry>>();
  let full = false;

  const remove = (id: string, { target }: Entry): void => {
    entries.delete(id);
    const name = nameOf(target);
    const named = byName.get(name);
    named?.delete(id);
    if (named?.size === 0) {
      byName.delete(name);
    }
  };

  /** Room for one more. */
  const prune = (): void => {
    const nowMs = now();
    for (const [id, entry] of entries) {
      const expired = entry.untilMs <= nowMs;
      if (!expired && entries.size < maxEntries) {
        break;
      }
      remove(id, entry);
      if (!expired && !full) {
        log("error", "too many revocations, the oldest are forgotten", { kept: maxEntries });
      }
      full ||= !expired;
    }
    full &&= entries.size >= maxEntries - 1;
  };

  return {
    add(target, atMs) {
      const { userId, deviceId, sessionId, tokenId } = target;
      const id = JSON.stringify([userId, deviceId, sessionId, tokenId]);
      const before = entries.get(id);
      if (before !== undefined) {
        remove(id, before);
      }
      prune();
      const entry = { target, atMs: Math.max(atMs, before?.atMs ?? 0), untilMs: now() + holdMs };
      entries.set(id, entry);
      const name = nameOf(target);
      const named = byName.get(name) ?? new Map<string, Entry>();
      byName.set(name, named.set(id, entry));
    },

    has(identity) {
      if (entries.size === 0) {
        return false;
      }
      const nowMs = now();
      for (const name of namesOf(identity)) {
        for (const { target, atMs, untilMs } of byName.get(name)?.values() ?? []) {
          if (untilMs > nowMs && fits(target, identity) && (isForGood(target) || (identity.issuedAtMs ?? 0) <= atMs)) {
            return true;
          }
        }
      }
      return false;
    },
  };
}

/** Whether a token, or a socket with it, is meant. */
export function fits({ userId, deviceId, sessionId, tokenId }: Target, identity: Identity): boolean {
  return (
    (userId === "" || userId === identity.userId) &&
    (deviceId === "" || deviceId === identity.deviceId) &&
    (sessionId === "" || sessionId === identity.sessionId) &&
    (tokenId === "" || tokenId === identity.tokenId)
  );
}

/** A session that has ended, and a token, never come back. */
function isForGood({ sessionId, tokenId }: Target): boolean {
  return sessionId !== "" || tokenId !== "";
}

function nameOf({ userId, deviceId, sessionId, tokenId }: Target): string {
  if (tokenId !== "") {
    return `token ${tokenId}`;
  }
  if (sessionId !== "") {
    return `session ${sessionId}`;
  }
  return userId === "" ? `device ${deviceId}` : `user ${userId}`;
}

function namesOf({ userId, deviceId, sessionId, tokenId = "" }: Identity): readonly string[] {
  return [`token ${tokenId}`, `session ${sessionId}`, `device ${deviceId}`, `user ${userId}`];
}
