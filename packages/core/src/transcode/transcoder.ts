// HTTP with JSON → calls through a Connect transport, by the google.api.http rules of the contract.
import type { DescMethodUnary, DescService, Message, Registry } from "@bufbuild/protobuf";
import { Code, type ConnectError, type Transport } from "@connectrpc/connect";
import { errorBody, toConnectError } from "../error-json.ts";
import { failure, httpStatus, reasonOf, retryAfterHeader } from "../errors.ts";
import { inClientSpelling } from "../json/spelling.ts";
import { type Trace, traceOf } from "../trace.ts";
import { type BoundRequest, bindRequest, bodyFields } from "./bind.ts";
import { type BoundCall, shownAnswer } from "./call.ts";
import { callStream } from "./call-stream.ts";
import { acceptedType, readBody } from "./negotiate.ts";
import { refuseRawText } from "./percent.ts";
import { withQueryKeys } from "./query.ts";
import { createRouteTrie, type Match } from "./route-trie.ts";
import { buildRoutes, describeRoute, isUnary, type Route, type RouteMethod } from "./routes.ts";
import { streamTypes } from "./stream-body.ts";

export interface TranscoderOptions<Caller> {
  /** Where services that are given by name are looked up, and the types that an Any holds. */
  readonly registry?: Registry;
  readonly services: readonly (DescService | string)[];
  readonly transport: Transport;
  /** Says who calls, before the body is read. Throws a ConnectError to refuse. Default: nobody. */
  readonly authorize?: (method: RouteMethod, headers: Headers) => Promise<Caller>;
  /**
   * Completes and checks the bound request before the call; needs `authorize`. Throws a ConnectError to refuse: its field violations name fields as
   * the contract does, and reach the client in the client's own spelling.
   * @param named the proto names of the top-level fields that the client sent, also those that it set to a zero value
   */
  readonly prepare?: (method: RouteMethod, request: Message, caller: Caller, named: ReadonlySet<string>) => void;
  /** Query keys that are let through though they are no field of the request: what trackers and tracers add to URLs. Default: none. */
  readonly allowedQueryKeys?: readonly string[];
  /** Told of every answer, for metrics; of a stream when it has ended. */
  readonly onAnswer?: (answer: Answered) => void;
  /** Told of every failed call, for the log; `caller` where it was known by then. */
  readonly onError?: (error: ConnectError, route: Route, trace: Trace, caller: Caller | undefined) => void;
}

export interface Answered {
  /** One of those that HTTP knows, else "OTHER". */
  readonly httpMethod: string;
  /** Absent where no route was found. */
  readonly route: Route | undefined;
  readonly status: number;
  readonly seconds: number;
}

export interface RawRequest {
  readonly method: string;
  /** Path and query as they came, not normalised. */
  readonly path: string;
  readonly headers: Headers;
  /** Absent or null: none. */
  readonly body?: Uint8Array | null | undefined;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
}

export interface Transcoder {
  fetch(request: Request): Promise<Response>;
  /** Always answers, never rejects. */
  handle(request: RawRequest): Promise<Response>;
  /**
   * What `handle` would call, without authorization and call.
   * @throws ConnectError not_found or unimplemented where no route takes the request, invalid_argument where it does not fit
   */
  bind(request: RawRequest): BoundRequest & { readonly route: Route };
  readonly routes: readonly Route[];
}

/** Where a URL would be normalised to another path. */
const DOT_SEGMENT = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i;
const httpMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** @throws ConnectError internal when the contract can not be served: a bad template or rule, two methods on one route */
export function createTranscoder<Caller = undefined>(options: TranscoderOptions<Caller>): Transcoder {
  const { registry, transport, authorize, prepare, onAnswer, onError } = options;
  if (prepare !== undefined && authorize === undefined) {
    throw failure(Code.Internal, "BAD_OPTIONS", "prepare is told of a caller, whom authorize has to name");
  }
  const allowedQueryKeys = new Set(options.allowedQueryKeys);
  const routes = buildRoutes(options.services.map((service) => findService(service, registry)));
  const trie = createRouteTrie<Route>(describeRoute);
  for (const route of routes) {
    trie.add(route.httpMethod, route.template, route);
  }
  trie.refuseShadowed();

  const handle = async (request: RawRequest): Promise<Response> => {
    const startedMs = performance.now();
    const trace = traceOf(request.headers.get("traceparent"));
    let route: Route | undefined;
    let who: { readonly caller: Caller } | undefined;
    const answered = (status: number): void => {
      const seconds = (performance.now() - startedMs) / 1000;
      onAnswer?.({ httpMethod: methodLabel(request.method), route, status, seconds });
    };
    const failed = (thrown: unknown): ConnectError => {
      const error = toConnectError(thrown);
      if (route !== undefined) {
        onError?.(error, route, trace, who?.caller);
      }
      return error;
    };
    let response: Response;
    try {
      const [path, query] = splitTarget(request.path);
      const match = trie.match(request.method, path);
      if (match.kind !== "found") {
        response = otherwise(request.method, match, trace);
      } else {
        route = match.route;
        who = authorize && { caller: await authorize(route.method, request.headers) };
        const call = bind(match.route, match.segments, query, request, who);
        if (!isUnary(route.method)) {
          return await callStream(transport, route.method, call, request, trace, { failed, answered, types: registry });
        }
        response = await callUnary(route.method, call, request, trace);
      }
    } catch (thrown) {
      response = errorResponse(failed(thrown), trace.traceId);
    }
    answered(response.status);
    return request.method === "HEAD" ? new Response(null, response) : response;
  };

  const bind = (
    route: Route,
    segments: readonly string[],
    query: string,
    request: RawRequest,
    who: { readonly caller: Caller } | undefined,
  ): BoundCall => {
    const { input } = route.method;
    const accept = request.headers.get("accept");
    const type = isUnary(route.method) ? acceptedType(accept, ["application/json"]) : acceptedType(accept, streamTypes);
    const body = readBody(request.body, request.headers);
    const { message, named } = bindRequest(route, segments, query, body, allowedQueryKeys, registry);
    const spelled = (thrown: unknown): ConnectError =>
      inClientSpelling(toConnectError(thrown), input, withQueryKeys(bodyFields(route, body), query));
    if (prepare !== undefined && who !== undefined) {
      try {
        prepare(route.method, message, who.caller, named);
      } catch (thrown) {
        throw spelled(thrown);
      }
    }
    return { route, type, message, spelled };
  };

  const callUnary = async (
    method: DescMethodUnary,
    { route, message, spelled }: BoundCall,
    { signal }: RawRequest,
    { traceparent }: Trace,
  ): Promise<Response> => {
    const answer = await transport
      .unary(method, signal, undefined, { traceparent }, message)
      .catch((thrown: unknown) => {
        throw spelled(thrown);
      });
    return Response.json(shownAnswer(route, answer.message, registry), { status: route.successStatus });
  };

  return {
    routes,
    handle,
    bind(request) {
      const [path, query] = splitTarget(request.path);
      const match = trie.match(request.method, path);
      if (match.kind !== "found") {
        throw noRoute(match);
      }
      const { route, segments } = match;
      const body = readBody(request.body, request.headers);
      const { message, named } = bindRequest(route, segments, query, body, allowedQueryKeys, registry);
      return { route, message, named };
    },
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const body = new Uint8Array(await request.arrayBuffer());
      return handle({
        method: request.method,
        path: pathname + search,
        headers: request.headers,
        body,
        signal: request.signal,
      });
    },
  };
}

/** A method as metrics name it: one of those that HTTP knows, else "OTHER". */
export function methodLabel(method: string): string {
  return httpMethods.has(method) ? method : "OTHER";
}

/** The answer of CONTRACT §3 to a failed request. */
export function errorResponse(error: ConnectError, traceId: string, headers: Record<string, string> = {}): Response {
  const retryAfter = retryAfterHeader(error);
  return Response.json(errorBody(error, traceId), {
    status: statusOf(error),
    headers: {
      ...headers,
      ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }),
      ...(error.code === Code.Unauthenticated ? { "www-authenticate": "Bearer" } : {}),
    },
  });
}

/** HTTP has statuses of its own for what goes wrong before a method is reached. */
const statusByReason: Readonly<Record<string, number>> = {
  METHOD_NOT_ALLOWED: 405,
  NOT_ACCEPTABLE: 406,
  REQUEST_TIMEOUT: 408,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  HEADERS_TOO_LARGE: 431,
};

function statusOf(error: ConnectError): number {
  return statusByReason[reasonOf(error)] ?? httpStatus[error.code];
}

type NoMatch = Exclude<Match<Route>, { kind: "found" }>;

function otherwise(method: string, match: NoMatch, trace: Trace): Response {
  return match.kind === "none"
    ? errorResponse(noRoute(match), trace.traceId)
    : otherMethod(method, match.methods, trace);
}

function noRoute(match: NoMatch): ConnectError {
  return match.kind === "none"
    ? failure(Code.NotFound, "NO_ROUTE", "no such path")
    : failure(Code.Unimplemented, "METHOD_NOT_ALLOWED", `this path answers ${allowed(match.methods)}`);
}

/** The answer of a path that has other methods than this one. @param methods those that it has, HEAD and OPTIONS aside */
export function otherMethod(method: string, methods: readonly string[], trace: Trace): Response {
  const allow = allowed(methods);
  return method === "OPTIONS"
    ? new Response(null, { status: 204, headers: { allow } })
    : errorResponse(noRoute({ kind: "other-methods", methods }), trace.traceId, { allow });
}

/** HEAD follows GET, OPTIONS is always answered, `*` is any. */
function allowed(methods: readonly string[]): string {
  const named = methods.includes("*") ? ["DELETE", "GET", "PATCH", "POST", "PUT", ...methods] : methods;
  const all = [...named, ...(named.includes("GET") ? ["HEAD"] : []), "OPTIONS"].filter((name) => name !== "*");
  return [...new Set(all)].join(", ");
}

/** Path and query, as they came. */
function splitTarget(target: string): readonly [path: string, query: string] {
  refuseRawText(target);
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  if ((path.includes("/.") || path.includes("%")) && DOT_SEGMENT.test(path)) {
    throw failure(Code.InvalidArgument, "DOT_SEGMENT", "the path has a . or .. segment");
  }
  return [path, mark === -1 ? "" : target.slice(mark + 1)];
}

function findService(service: DescService | string, registry: Registry | undefined): DescService {
  const found = typeof service === "string" ? registry?.getService(service) : service;
  if (found === undefined) {
    throw failure(Code.Internal, "UNKNOWN_SERVICE", `the registry has no service ${String(service)}`);
  }
  return found;
}
