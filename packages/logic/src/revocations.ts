// Access tokens that are taken back before their end: every gateway that lives is told, since a token can be used at any.
import { traceOf } from "@im-gateway/core";
import type { Downstream } from "./downstream.ts";
import { revocation } from "./fanout.ts";
import { text } from "./row.ts";
import type { Store } from "./store.ts";

/** Returns at once. */
export type RevokeSession = (session: { readonly sessionId: string; readonly userId: string }) => void;

export function createRevocations(store: Store, downstream: Downstream, now: () => number): RevokeSession {
  const living = store.prepare("SELECT gateway_id FROM gateways WHERE absent_since_ms IS NULL");

  return (session) => {
    const { traceId, traceparent } = traceOf(null);
    const trace = { traceId, headers: {}, kafkaHeaders: { traceparent } };
    downstream.push(living.all().map((row) => revocation(text(row, "gateway_id"), session, now(), trace)));
  };
}
