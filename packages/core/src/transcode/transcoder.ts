// HTTP with JSON → unary calls through a Connect transport, by the google.api.http rules of the contract.
import type { DescMethodUnary, DescService, Message, Registry } from "@bufbuild/protobuf";
import { Code, type ConnectError, type Transport } from "@connectrpc/connect";
import { errorBody, toConnectError } from "../error-json.ts";
import { failure, httpStatus, reasonOf, retryAfterMsOf } from "../errors.ts";
import { type JsonTree, parseJson } from "../json/text.ts";
import { writeMessage } from "../json/write.ts";
import { type Trace, traceOf } from "../trace.ts";
import { bindRequest } from "./bind.ts";
import { createRouteTrie, type Match } from "./route-trie.ts";
import { buildRoutes, type Route } from "./routes.ts";

export interface TranscoderOptions<Caller> {
  /** Where services that are given by name are looked up. */
  readonly registry?: Registry;
  readonly services: readonly (DescService | string)[];
  readonly transport: Transport;
  /** Says who calls, before the body is read. Throws a ConnectError to refuse. Default: nobody. */
  readonly authorize?: (method: DescMethodUnary, headers: Headers) => Promise<Caller>;
  /** Completes and checks the bound request before the call. Throws a ConnectError to refuse. */
  readonly prepare?: (method: DescMethodUnary, request: Message, caller: Caller) => void;
  /** Told of every answer, for metrics. */
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
  readonly body: Uint8Array | null;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
}

export interface Transcoder {
  fetch(request: Request): Promise<Response>;
  /** Always answers, never rejects. */
  handle(request: RawRequest): Promise<Response>;
  readonly routes: readonly Route[];
}

const httpMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json$/i;
const JSON_ACCEPT = /^(?:\*\/\*|application\/(?:\*|json|[\w.+-]+\+json))$/i;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** @throws ConnectError internal when the contract can not be served: a bad template or rule, two methods on one route */
export function createTranscoder<Caller = undefined>(options: TranscoderOptions<Caller>): Transcoder {
  const routes = buildRoutes(options.services.map((service) => findService(service, options.registry)));
  const trie = createRouteTrie<Route>();
  for (const route of routes) {
    trie.add(route.httpMethod, route.template, route, route.path);
  }

  const handle = async (request: RawRequest): Promise<Response> => {
    const startedMs = performance.now();
    const { response, route } = await answer(request);
    options.onAnswer?.({
      httpMethod: methodLabel(request.method),
      route,
      status: response.status,
      seconds: (performance.now() - startedMs) / 1000,
    });
    return response;
  };

  const answer = async (request: RawRequest): Promise<{ response: Response; route?: Route }> => {
    const trace = traceOf(request.headers.get("traceparent"));
    let route: Route | undefined;
    let caller: Caller | undefined;
    try {
      const [path = "", ...query] = request.path.split("?");
      refuseDotSegments(path);
      const match = trie.match(request.method === "HEAD" ? "GET" : request.method, path);
      if (match.kind !== "found") {
        return { response: unmatched(request, match, trace) };
      }
      route = match.route;
      caller = await options.authorize?.(route.method, request.headers);
      const response = await call(route, match.segments, query.join("?"), request, trace, caller);
      return { route, response: request.method === "HEAD" ? new Response(null, response) : response };
    } catch (thrown) {
      const error = toConnectError(thrown);
      if (route !== undefined) {
        options.onError?.(error, route, trace, caller);
      }
      const response = errorResponse(error, trace.traceId);
      return route === undefined ? { response } : { response, route };
    }
  };

  const call = async (
    route: Route,
    segments: readonly string[],
    query: string,
    request: RawRequest,
    trace: Trace,
    caller: Caller | undefined,
  ): Promise<Response> => {
    const { method } = route;
    checkAccept(request.headers.get("accept"));
    const message = bindRequest(route, segments, query, readBody(request));
    if (options.prepare !== undefined && caller !== undefined) {
      options.prepare(method, message, caller);
    }
    const answer = await options.transport.unary(
      method,
      request.signal,
      undefined,
      { traceparent: trace.traceparent },
      message,
    );
    const body = writeMessage(method.output, answer.message);
    const shown = route.responseField === undefined ? body : (body[route.responseField.name] ?? null);
    return Response.json(shown, { status: route.successStatus });
  };

  return {
    routes,
    handle,
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
  const retryAfterMs = retryAfterMsOf(error);
  return Response.json(errorBody(error, traceId), {
    status: statusOf(error),
    headers: {
      ...headers,
      ...(retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) }),
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

function unmatched(request: RawRequest, match: Exclude<Match<Route>, { kind: "found" }>, trace: Trace): Response {
  if (match.kind === "none") {
    return errorResponse(failure(Code.NotFound, "NO_ROUTE", "no such path"), trace.traceId);
  }
  return otherMethod(request.method, match.methods, trace);
}

/** The answer of a path that has other methods than this one. @param methods those that it has, HEAD and OPTIONS aside */
export function otherMethod(method: string, methods: readonly string[], trace: Trace): Response {
  const allow = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
  if (method === "OPTIONS") {
    return new Response(null, { status: 204, headers: { allow } });
  }
  const error = failure(Code.Unimplemented, "METHOD_NOT_ALLOWED", `this path answers ${allow}`);
  return errorResponse(error, trace.traceId, { allow });
}

function refuseDotSegments(path: string): void {
  if (path.split("/").some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment))) {
    throw failure(Code.InvalidArgument, "DOT_SEGMENT", "the path has a . or .. segment");
  }
}

function checkAccept(accept: string | null): void {
  if (accept !== null && !accept.split(",").some(acceptsJson)) {
    throw failure(Code.InvalidArgument, "NOT_ACCEPTABLE", "the answer is application/json, which Accept excludes");
  }
}

/** RFC 9110 §12.4.2: with `q=0` a range is what is not acceptable. */
function acceptsJson(range: string): boolean {
  const [type = "", ...parameters] = range.split(";");
  return (
    JSON_ACCEPT.test(type.trim()) && !parameters.some((parameter) => /^\s*q\s*=\s*0(?:\.0*)?\s*$/i.test(parameter))
  );
}

function readBody(request: RawRequest): JsonTree | undefined {
  if (request.body === null || request.body.length === 0) {
    return undefined;
  }
  const [type = "", ...parameters] = (request.headers.get("content-type") ?? "application/json").split(";");
  const charset = parameters.map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)/i.exec(parameter)?.[1]).find(Boolean);
  const packed = !/^(?:identity)?$/i.test(request.headers.get("content-encoding") ?? "");
  if (!JSON_TYPE.test(type.trim()) || !/^utf-?8$/i.test(charset ?? "utf-8") || packed) {
    const message = "the body must be application/json in UTF-8, not compressed";
    throw failure(Code.InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message);
  }
  let text: string;
  try {
    text = utf8.decode(request.body);
  } catch (cause) {
    throw failure(Code.InvalidArgument, "MALFORMED_JSON", "the body is not UTF-8", { cause });
  }
  return parseJson(text);
}

function findService(service: DescService | string, registry: Registry | undefined): DescService {
  const found = typeof service === "string" ? registry?.getService(service) : service;
  if (found === undefined) {
    throw failure(Code.Internal, "UNKNOWN_SERVICE", `the registry has no service ${String(service)}`);
  }
  return found;
}
