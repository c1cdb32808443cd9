// What callers of a service see of an error.
import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { failure, type Log, traceIdOf } from "@im-gateway/core";

/**
 * A ConnectError passes with its details; anything else is a fault of ours: logged with its stack, and "internal error" to the caller.
 * The same where a stream breaks off.
 */
export function errorBoundary(log: Log): Interceptor {
  function translate(request: UnaryRequest | StreamRequest, thrown: unknown): ConnectError {
    const { service, method, header, message } = request;
    const expected = thrown instanceof ConnectError;
    log(expected ? "debug" : "error", "call failed", {
      method: `${service.typeName}/${method.name}`,
      trace_id: traceIdOf(header.get("traceparent")),
      user_id: "callerId" in message ? message.callerId : undefined,
      error: thrown,
    });
    return expected ? thrown : failure(Code.Internal, "INTERNAL", "internal error");
  }

  async function* guard<T>(request: StreamRequest, messages: AsyncIterable<T>): AsyncIterable<T> {
    try {
      yield* messages;
    } catch (thrown) {
      throw translate(request, thrown);
    }
  }

  return (next) => async (request) => {
    try {
      const response = await next(request);
      return response.stream && request.stream ? { ...response, message: guard(request, response.message) } : response;
    } catch (thrown) {
      throw translate(request, thrown);
    }
  };
}
