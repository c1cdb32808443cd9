// Calls of clients, over REST and over the socket: the same authorisation, the same checks, the same targets.
import {
  create,
  type DescMethodUnary,
  type DescService,
  isMessage,
  type JsonObject,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, type ConnectError, type Transport, type UnaryResponse } from "@connectrpc/connect";
import {
  ClientFrameSchema,
  type SendMessageRequest,
  SendMessageRequestSchema,
  type SendMessageResponse,
} from "@im-gateway/proto";
import type { Log, Observer } from "./adapters.ts";
import { toConnectError } from "./error-json.ts";
import { codeName, failure } from "./errors.ts";
import { checkFrameCalls } from "./frame/frame-call.ts";
import { bearerToken, type Identity, type VerifyToken } from "./identity/token.ts";
import { namedFields } from "./json/names.ts";
import { readMessage } from "./json/read.ts";
import { inClientSpelling } from "./json/spelling.ts";
import type { JsonTree } from "./json/text.ts";
import { writeMessage } from "./json/write.ts";
import { createMethods, type Method, methodName, prepareRequest } from "./methods.ts";
import { type Trace, traceOf } from "./trace.ts";
import { isUnary, type RouteMethod } from "./transcode/routes.ts";
import { createTranscoder, type Transcoder } from "./transcode/transcoder.ts";

export interface CallsOptions {
  readonly services: readonly DescService[];
  /** To im-logic. */
  readonly transport: Transport;
  /** Where methods with target UPSTREAM go. */
  readonly publish: (request: SendMessageRequest, trace: Trace) => Promise<Omit<SendMessageResponse, "$typeName">>;
  readonly verifyToken: VerifyToken;
  readonly allowedQueryKeys?: readonly string[] | undefined;
  readonly observer?: Observer | undefined;
  readonly log: Log;
}

export interface Calls {
  /** The REST door. */
  readonly transcoder: Transcoder;
  /**
   * The socket's door: calls a method for an authenticated connection.
   * @param name `package.Service/Method`
   * @param timeoutMs at most the transport's own deadline, which is the default
   * @throws ConnectError
   */
  call(
    name: string,
    request: JsonTree,
    identity: Identity,
    trace: Trace,
    signal: AbortSignal,
    timeoutMs?: number,
  ): Promise<JsonObject>;
}

interface Caller {
  readonly method: Method;
  readonly identity: Identity | undefined;
}

/** Codes that say more about us than about the request. */
const worthALine: ReadonlySet<Code> = new Set([Code.Internal, Code.Unknown, Code.DataLoss]);

export function createCalls(options: CallsOptions): Calls {
  const { services, publish, verifyToken, log } = options;
  const methods = createMethods(services, "clients");
  checkFrameCalls(ClientFrameSchema, methods);
  const logic = observed(options.transport, options.observer);
  const transport = targetTransport(logic, publish, (desc) => methodOf(methodName(desc)).target);

  const methodOf = (name: string): Method => {
    const method = methods.get(name);
    if (method === undefined) {
      throw failure(Code.Unimplemented, "UNKNOWN_METHOD", "no such method");
    }
    return method;
  };

  const authorize = async (desc: RouteMethod, headers: Headers): Promise<Caller> => {
    const method = methodOf(methodName(desc));
    const token = bearerToken(headers.get("authorization"));
    if (method.auth === "public") {
      return { method, identity: token === undefined ? undefined : await verifyToken(token).catch(anonymous) };
    }
    if (token === undefined) {
      throw failure(Code.Unauthenticated, "TOKEN_MISSING", "an Authorization: Bearer header is required");
    }
    return { method, identity: await verifyToken(token) };
  };

  return {
    transcoder: createTranscoder<Caller>({
      services,
      transport,
      authorize,
      ...(options.allowedQueryKeys === undefined ? {} : { allowedQueryKeys: options.allowedQueryKeys }),
      prepare: (_desc, request, { method, identity }, named) => prepareRequest(method, request, identity, named),
      onAnswer: ({ httpMethod, route, status, seconds }) => {
        options.observer?.answered(httpMethod, route?.path ?? "none", status, seconds);
      },
      onError: (error, route, trace, caller) =>
        logFailure(log, error, methodName(route.method), trace, caller?.identity?.userId),
    }),
    async call(name, json, identity, trace, signal, timeoutMs) {
      const method = methodOf(name);
      const { desc } = method;
      if (!isUnary(desc)) {
        throw failure(
          Code.Unimplemented,
          "STREAMING_METHOD",
          "a call has one answer, and this method has many: use HTTP",
        );
      }
      const request = readMessage(desc.input, json, "refuse");
      try {
        prepareRequest(method, request, identity, namedFields(desc.input, json));
        const header = { traceparent: trace.traceparent };
        const answer = await transport.unary(desc, signal, timeoutMs, header, request);
        return writeMessage(desc.output, answer.message);
      } catch (thrown) {
        throw inClientSpelling(toConnectError(thrown), desc.input, json);
      }
    },
  };
}

/** @param userId who called, where that is known */
export function logFailure(log: Log, error: ConnectError, method: string, trace: Trace, userId?: string): void {
  const fields = { method, trace_id: trace.traceId, user_id: userId, error };
  log(worthALine.has(error.code) ? "error" : "debug", "call failed", fields);
}

/** A public method has no use for a bad token, and no quarrel with it. */
function anonymous(): undefined {
  return undefined;
}

/** A transport whose calls are told to the observer. */
export function observed(logic: Transport, observer: Observer | undefined): Transport {
  if (observer === undefined) {
    return logic;
  }
  return {
    async unary(method, ...call) {
      const startedMs = performance.now();
      let code = "ok";
      try {
        return await logic.unary(method, ...call);
      } catch (thrown) {
        code = codeName(toConnectError(thrown).code);
        throw thrown;
      } finally {
        observer.called(methodName(method), code, (performance.now() - startedMs) / 1000);
      }
    },
    async stream(method, ...call) {
      const startedMs = performance.now();
      const told = (code: string): void =>
        observer.called(methodName(method), code, (performance.now() - startedMs) / 1000);
      try {
        const answer = await logic.stream(method, ...call);
        return { ...answer, message: toldAtEnd(answer.message, told) };
      } catch (thrown) {
        told(codeName(toConnectError(thrown).code));
        throw thrown;
      }
    },
  };
}

/** The messages; at their end `told` gets the code: `canceled` where nobody reads on. */
async function* toldAtEnd<T>(messages: AsyncIterable<T>, told: (code: string) => void): AsyncGenerator<T> {
  let code = codeName(Code.Canceled);
  try {
    yield* messages;
    code = "ok";
  } catch (thrown) {
    code = codeName(toConnectError(thrown).code);
    throw thrown;
  } finally {
    told(code);
  }
}

/** A transport that publishes the methods with target UPSTREAM and hands all others on. */
function targetTransport(
  logic: Transport,
  publish: CallsOptions["publish"],
  targetOf: (method: DescMethodUnary) => Method["target"],
): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      if (targetOf(method) === "logic") {
        return logic.unary(method, signal, timeoutMs, header, input, contextValues);
      }
      const request = create(method.input, input);
      if (!isMessage(request, SendMessageRequestSchema)) {
        throw failure(Code.Internal, "BAD_METHOD_OPTIONS", `${methodName(method)} can not go upstream`);
      }
      const { clientMsgId, status, traceId } = await publish(request, traceOf(new Headers(header).get("traceparent")));
      const answer = { client_msg_id: clientMsgId, status, trace_id: traceId };
      return unaryResponse(method, readMessage(method.output, answer, "ignore"));
    },
    stream: (...call) => logic.stream(...call),
  };
}

function unaryResponse<I extends DescMethodUnary["input"], O extends DescMethodUnary["output"]>(
  method: DescMethodUnary<I, O>,
  message: MessageShape<O>,
): UnaryResponse<I, O> {
  return { stream: false, service: method.parent, method, header: new Headers(), trailer: new Headers(), message };
}
