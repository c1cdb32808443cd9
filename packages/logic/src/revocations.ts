// Access tokens that are taken back before their end: every gateway that lives is told, since a token can be used at any. Kept for as long as
// such a token lives, for gateways that were away or begin anew.
import { traceOf } from "@im-gateway/core";
import type { Downstream, Outgoing } from "./downstream.ts";
import { revocation } from "./fanout.ts";
import { integer, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface RevokedSession {
  readonly sessionId: string;
  readonly userId: string;
}

export interface Revocations {
  /** Returns at once. */
  revoke(session: RevokedSession): void;
  /** All that may still matter, the newest 5,000 of them, to one gateway. Returns at once. */
  tellAgain(gatewayId: string): void;
}

export interface RevocationsOptions {
  readonly store: Store;
  readonly downstream: Downstream;
  /** The life of an access token. */
  readonly accessTokenTtlMs: number;
  readonly now: () => number;
}

/** Half of what may wait for a gateway: were Kafka away, what else waits would have to go for them. */
const maxToldAgain = 5_000;

export function createRevocations({ store, downstream, accessTokenTtlMs, now }: RevocationsOptions): Revocations {
  const living = store.prepare("SELECT gateway_id FROM gateways WHERE absent_since_ms IS NULL");
  const keep = store.prepare(
    "INSERT OR REPLACE INTO revocations (session_id, user_id, revoked_at_ms) VALUES (?, ?, ?)",
  );
  const prune = store.prepare("DELETE FROM revocations WHERE revoked_at_ms < ?");
  const newest = store.prepare("SELECT * FROM revocations ORDER BY revoked_at_ms DESC LIMIT ?");

  const toRecord = (gatewayId: string, session: RevokedSession, atMs: number): Outgoing => {
    const { traceId, traceparent } = traceOf(null);
    return revocation(gatewayId, session, atMs, { traceId, headers: {}, kafkaHeaders: { traceparent } });
  };

  return {
    revoke(session) {
      const nowMs = now();
      const gateways = store.transaction(() => {
        prune.run(nowMs - accessTokenTtlMs);
        keep.run(session.sessionId, session.userId, nowMs);
        return living.all();
      });
      downstream.push(gateways.map((row) => toRecord(text(row, "gateway_id"), session, nowMs)));
    },
    tellAgain(gatewayId) {
      prune.run(now() - accessTokenTtlMs);
      const records = newest.all(maxToldAgain).map((row) => {
        const session = { sessionId: text(row, "session_id"), userId: text(row, "user_id") };
        return toRecord(gatewayId, session, integer(row, "revoked_at_ms"));
      });
      if (records.length > 0) {
        downstream.push(records);
      }
    },
  };
}
