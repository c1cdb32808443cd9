// What callers of a service see of an error.
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { failure, type Log, traceIdOf } from "@im-gateway/core";

/** A ConnectError passes with its details; anything else is a fault of ours: logged with its stack, and "internal error" to the caller. */
export function errorBoundary(log: Log): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (thrown) {
      const expected = thrown instanceof ConnectError;
      const { service, method, header, message } = request;
      log(expected ? "debug" : "error", "call failed", {
        method: `${service.typeName}/${method.name}`,
        trace_id: traceIdOf(header.get("traceparent")),
        user_id: "callerId" in message ? message.callerId : undefined,
        error: thrown,
      });
      throw expected ? thrown : failure(Code.Internal, "INTERNAL", "internal error");
    }
  };
}
