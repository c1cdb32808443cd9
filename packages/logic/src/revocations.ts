// Access tokens that are taken back before their end: every gateway that lives is told, since a token can be used at any. Kept for as long as
// such a token lives, for gateways that were away or begin anew.
import { type Log, traceOf } from "@im-gateway/core";
import type { Downstream } from "./downstream.ts";
import { revocation } from "./fanout.ts";
import { integer, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface RevokedSession {
  readonly sessionId: string;
  readonly userId: string;
}

export interface Revocations {
  /** Returns at once. */
  revoke(session: RevokedSession): void;
  /** What an im-logic that died had still to tell, to every gateway that lives. Returns at once. */
  tellUntold(): void;
  /** All that may still matter, the newest 5,000 of them, to one gateway. Returns at once. */
  tellAgain(gatewayId: string): void;
}

export interface RevocationsOptions {
  readonly store: Store;
  readonly downstream: Downstream;
  /** The life of an access token. */
  readonly accessTokenTtlMs: number;
  readonly log: Log;
  readonly now: () => number;
}

/** Half of what may wait for a gateway: were Kafka away, what else waits would have to go for them. */
const maxToldAgain = 5_000;

export function createRevocations(options: RevocationsOptions): Revocations {
  const { store, downstream, accessTokenTtlMs, log, now } = options;
  const living = store.prepare("SELECT gateway_id FROM gateways WHERE absent_since_ms IS NULL");
  const keep = store.prepare(
    "INSERT OR REPLACE INTO revocations (session_id, user_id, revoked_at_ms) VALUES (?, ?, ?) RETURNING *",
  );
  const markTold = store.prepare("UPDATE revocations SET told = 1 WHERE session_id = ?");
  const prune = store.prepare("DELETE FROM revocations WHERE revoked_at_ms < ?");
  const untold = store.prepare("SELECT * FROM revocations WHERE told = 0 ORDER BY revoked_at_ms DESC LIMIT ?");
  const newest = store.prepare("SELECT * FROM revocations ORDER BY revoked_at_ms DESC LIMIT ?");

  function tell(gatewayIds: readonly string[], revoked: readonly Row[]): Promise<void> {
    const { traceId, traceparent } = traceOf(null);
    const trace = { traceId, headers: {}, kafkaHeaders: { traceparent } };
    const records = gatewayIds.flatMap((gatewayId) =>
      revoked.map((row) => {
        const session = { sessionId: text(row, "session_id"), userId: text(row, "user_id") };
        return revocation(gatewayId, session, integer(row, "revoked_at_ms"), trace);
      }),
    );
    return downstream.publish(records);
  }

  const failed = (error: unknown): void => log("error", "a revocation was not told", { error });

  function tellLiving(revoked: readonly Row[]): void {
    const gatewayIds = living.all().map((row) => text(row, "gateway_id"));
    tell(gatewayIds, revoked)
      .then(() => noteTold(revoked))
      .catch(failed);
  }

  function noteTold(revoked: readonly Row[]): void {
    store.transaction(() => {
      for (const row of revoked) {
        markTold.run(text(row, "session_id"));
      }
    });
  }

  return {
    revoke({ sessionId, userId }) {
      const nowMs = now();
      store.transaction(() => {
        prune.run(nowMs - accessTokenTtlMs);
        tellLiving(keep.all(sessionId, userId, nowMs));
      });
    },
    tellUntold: () => tellLiving(untold.all(maxToldAgain)),
    tellAgain(gatewayId) {
      prune.run(now() - accessTokenTtlMs);
      tell([gatewayId], newest.all(maxToldAgain)).catch(failed);
    },
  };
}
