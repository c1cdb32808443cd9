// Calls of clients over their sockets: each gets one answer, and one user has only so many under way.
import type { ClientFrame } from "@im-gateway/proto";
import type { Log } from "./adapters.ts";
import { type Calls, logFailure } from "./calls.ts";
import type { Connection } from "./connection.ts";
import type { Counters } from "./counters.ts";
import { toConnectError } from "./error-json.ts";
import { errorFrame } from "./frame/codec.ts";
import { frameCall } from "./frame/frame-call.ts";
import type { Identity } from "./identity/token.ts";
import type { Admission } from "./limits/admission.ts";
import { createShares, type Share } from "./limits/shares.ts";
import type { Connections } from "./session/connections.ts";
import { newTrace } from "./trace.ts";

export interface SocketCallsOptions {
  readonly call: Calls["call"];
  readonly connections: Pick<Connections, "answer">;
  readonly admission: Pick<Admission, "admitWork">;
  readonly counters: Pick<Counters, "refused">;
  /** Aborts when the gateway has left: calls end with it. */
  readonly stopped: () => AbortSignal;
  readonly log: Log;
}

/**
 * Answers a frame that is a call. Never rejects.
 * @param length of the frame, in characters: it is kept until the answer is there
 */
export type CallOverSocket = (
  connection: Connection,
  identity: Identity,
  messageId: string,
  data: ClientFrame["data"],
  length: number,
) => Promise<void>;

export function createSocketCalls(options: SocketCallsOptions): CallOverSocket {
  const { call, connections, admission, counters, stopped, log } = options;
  const shares = createShares({ what: "calls", counters });
  return async (connection, identity, messageId, data, length) => {
    const trace = newTrace();
    const { userId } = identity;
    let share: Share | undefined;
    connection.unanswered += 1;
    try {
      admission.admitWork();
      share = shares.take(userId, length);
      const { method, request, timeoutMs, toAnswer } = frameCall(data);
      const response = await call(method, request, identity, trace, stopped(), timeoutMs);
      connections.answer(connection, toAnswer(response), messageId);
    } catch (thrown) {
      const error = toConnectError(thrown);
      logFailure(log, error, data.case ?? "", trace, userId);
      connections.answer(connection, errorFrame(error, trace.traceId), messageId);
    } finally {
      connection.unanswered -= 1;
      if (share !== undefined) {
        shares.giveBack(userId, share, length);
      }
    }
  };
}
