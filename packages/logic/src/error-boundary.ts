// What callers of a service see of an error.
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { failure, type Log } from "@im-gateway/core";

/** A ConnectError passes with its details; anything else is a fault of ours: logged with its stack, and "internal error" to the caller. */
export function errorBoundary(log: Log): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (thrown) {
      if (thrown instanceof ConnectError) {
        throw thrown;
      }
      const error = thrown instanceof Error ? thrown.stack : String(thrown);
      log("error", "a call failed", { method: `${request.service.typeName}/${request.method.name}`, error });
      throw failure(Code.Internal, "INTERNAL", "internal error");
    }
  };
}
