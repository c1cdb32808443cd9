// The internal port: PushService for back ends, by Connect over HTTP/1.1 and as REST under /internal/v1.
import {
  Code,
  createConnectRouter,
  createRouterTransport,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import { createFetchHandler } from "@connectrpc/connect/protocol";
import { PushService } from "@im-gateway/proto";
import type { Log, Observer } from "./adapters.ts";
import { createBodies } from "./body.ts";
import { logFailure } from "./calls.ts";
import type { Counters } from "./counters.ts";
import { toConnectError } from "./error-json.ts";
import { codeName, failure } from "./errors.ts";
import { rawPathOf, transcode } from "./http.ts";
import { bearerToken } from "./identity/token.ts";
import { createMethods, methodName, prepareRequest } from "./methods.ts";
import { traceOf } from "./trace.ts";
import { createTranscoder, errorResponse, methodLabel } from "./transcode/transcoder.ts";

export interface InternalOptions {
  readonly service: ServiceImpl<typeof PushService>;
  /** What callers have to know, as a bearer token. Absent: whoever reaches the port may call. */
  readonly token: string | undefined;
  readonly maxBodyBytes: number;
  readonly counters: Pick<Counters, "refused">;
  readonly observer: Observer | undefined;
  readonly log: Log;
}

/** Answers what comes in on the internal port; never rejects. */
export type Internal = (request: Request, rawPath?: string) => Promise<Response>;

export function createInternal(options: InternalOptions): Internal {
  const { service, token, maxBodyBytes, counters, observer, log } = options;
  const methods = createMethods([PushService], "back-ends");
  const checked: Interceptor = (next) => (request) => {
    const method = methods.get(methodName(request.method));
    if (method !== undefined && !request.stream) {
      prepareRequest(method, request.message, undefined, new Set());
    }
    return next(request);
  };
  const served = { interceptors: [checked] };
  const bodies = createBodies(maxBodyBytes, counters);
  const transcoder = createTranscoder({
    services: [PushService],
    transport: createRouterTransport((router) => router.service(PushService, service, served)),
    onAnswer: ({ httpMethod, route, status, seconds }) => {
      observer?.answered(httpMethod, route?.path ?? "none", status, seconds);
    },
    onError: (error, route, trace) => logFailure(log, error, methodName(route.method), trace),
  });
  const connect = new Map(
    createConnectRouter({ grpc: false, grpcWeb: false, readMaxBytes: maxBodyBytes })
      .service(PushService, service, served)
      .handlers.map((handler) => [handler.requestPath, createFetchHandler(handler)]),
  );

  const authorize = async ({ headers }: Request): Promise<void> => {
    // A page in a browser on this machine reaches loopback as well; no back end sends this header.
    if (headers.has("origin")) {
      throw failure(Code.PermissionDenied, "BROWSER_REFUSED", "this port is not for browsers");
    }
    if (token !== undefined && !(await sameSecret(bearerToken(headers.get("authorization")) ?? "", token))) {
      throw failure(
        Code.Unauthenticated,
        "TOKEN_INVALID",
        "an Authorization: Bearer header with internal.token is required",
      );
    }
  };

  return async (request, rawPath = rawPathOf(request)) => {
    const startedMs = performance.now();
    const path = rawPath.split("?")[0] ?? "";
    const procedure = connect.get(path);
    try {
      await authorize(request);
      if (procedure === undefined) {
        return await transcode(transcoder, request, rawPath, bodies, observer);
      }
      const response = await inOwnWords(await procedure(request));
      observer?.answered(methodLabel(request.method), path, response.status, (performance.now() - startedMs) / 1000);
      return response;
    } catch (thrown) {
      const error = toConnectError(thrown);
      const full = errorResponse(error, traceOf(request.headers.get("traceparent")).traceId);
      const { status, headers } = full;
      // Connect's clients read other details than ours, and none of the error where those do not fit.
      const response = procedure === undefined ? full : connectError(error.code, error.rawMessage, status, headers);
      observer?.answered(methodLabel(request.method), procedure === undefined ? "none" : path, response.status, 0);
      return response;
    }
  };
}

/** What Connect refuses by itself, by status. */
const refusals: Readonly<Record<number, readonly [Code, string]>> = {
  405: [Code.Unimplemented, "this path answers POST"],
  415: [Code.InvalidArgument, "the content type must be application/json or application/proto"],
  429: [Code.ResourceExhausted, "the body is too large"],
  500: [Code.Internal, "internal error"],
  501: [Code.Unimplemented, "the body must not be compressed"],
};

/** Errors of ours have details; those without are in the library's words, which are for nobody. Status and shape stay Connect's. */
async function inOwnWords(response: Response): Promise<Response> {
  if (response.ok) {
    return response;
  }
  const { status } = response;
  const told = await response.text();
  if (told.includes('"details":[')) {
    return new Response(told, { status, headers: response.headers });
  }
  const [code, message] = refusals[status] ?? [Code.InvalidArgument, "the request can not be read"];
  return connectError(code, message, status, new Headers(status === 405 ? { allow: "POST" } : {}));
}

/** An error without details, in the shape of the Connect protocol. */
function connectError(code: Code, message: string, status: number, headers: Headers): Response {
  return Response.json({ code: codeName(code), message }, { status, headers });
}

/** In a time that does not tell how much of it is right. */
async function sameSecret(given: string, secret: string): Promise<boolean> {
  const digest = (text: string): Promise<ArrayBuffer> =>
    crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const [a, b] = (await Promise.all([digest(given), digest(secret)])).map((buffer) => new Uint8Array(buffer));
  return a?.reduce((different, byte, index) => different | (byte ^ (b?.[index] ?? 0)), 0) === 0;
}
