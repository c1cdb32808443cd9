// Calls through both doors, REST and socket: the same authorisation, the same checks, the same targets.
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import {
  AuthService,
  ConversationService,
  MessageService,
  type SendMessageRequest,
  UserService,
} from "@im-gateway/proto";
import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import type { LogLevel } from "./adapters.ts";
import { createCalls } from "./calls.ts";
import { failure, reasonOf } from "./errors.ts";
import { createTokenVerifier, type Identity } from "./identity/token.ts";
import type { JsonTree } from "./json/text.ts";
import { traceOf } from "./trace.ts";

const secret = "a secret for tests";
const trace = traceOf(`00-${"a".repeat(32)}-${"b".repeat(16)}-01`);
const alice: Identity = { userId: "alice", deviceId: "phone", sessionId: "s1", expiresAtMs: Number.MAX_SAFE_INTEGER };
const never = new AbortController().signal;

const token = (exp: number | string = "1h"): Promise<string> =>
  new SignJWT({ sub: "alice", did: "phone", sid: "s1" })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt" })
    .setExpirationTime(exp)
    .sign(new TextEncoder().encode(secret));

interface Reached {
  readonly method: string;
  readonly request: object;
  readonly traceparent: string | null;
}

function start(options: { readonly publishFails?: ConnectError } = {}) {
  const reached: Reached[] = [];
  const published: { readonly request: SendMessageRequest; readonly traceId: string }[] = [];
  const called: string[] = [];
  const logged: [LogLevel, Readonly<Record<string, unknown>> | undefined][] = [];
  const keep =
    (method: string, answer: object = {}) =>
    (request: object, { requestHeader }: { requestHeader: Headers }): object => {
      reached.push({ method, request, traceparent: requestHeader.get("traceparent") });
      return answer;
    };
  const transport = createRouterTransport(({ service }) => {
    service(AuthService, { login: keep("login", { tokenType: "Bearer" }), logout: keep("logout") });
    service(UserService, {
      getMe: keep("getMe", { userId: "alice" }),
      getUser: ({ userId }) => {
        throw userId === "bug" ? new TypeError("a bug") : failure(Code.NotFound, "USER_NOT_FOUND", "no such user");
      },
    });
    service(MessageService, {
      sendMessage: keep("sendMessage"),
      async *exportMessages({ conversationId, callerId }) {
        if (conversationId === "secret") {
          throw failure(Code.PermissionDenied, "NOT_A_MEMBER", "not yours");
        }
        for (let seqId = 1n; seqId <= 3n; seqId++) {
          yield { conversationId, senderId: callerId, seqId };
        }
      },
    });
    service(ConversationService, { getUnread: () => new Promise(() => {}) });
  });
  const calls = createCalls({
    services: [AuthService, UserService, MessageService, ConversationService],
    transport,
    publish: async (request, { traceId }) => {
      if (options.publishFails !== undefined) {
        throw options.publishFails;
      }
      published.push({ request, traceId });
      return { clientMsgId: request.clientMsgId, status: "accepted", traceId };
    },
    verifyToken: createTokenVerifier({ secret, now: Date.now }),
    log: (level, _message, fields) => void logged.push([level, fields]),
    observer: {
      published() {},
      answered() {},
      called: (method, code) => called.push(`${method.split("/")[1]} ${code}`),
    },
  });
  const rest = async (line: string, authorization?: string, body?: unknown) => {
    const [method = "", path = ""] = line.split(" ");
    const headers = new Headers({ traceparent: trace.traceparent });
    if (authorization !== undefined) {
      headers.set("authorization", authorization);
    }
    const bytes = body === undefined ? null : new TextEncoder().encode(JSON.stringify(body));
    const response = await calls.transcoder.handle({ method, path: `/api/v1/${path}`, headers, body: bytes });
    const json: Readonly<Record<string, unknown>> = await response.json();
    const details: { reason?: string }[] = Object(json.details ?? []);
    return { status: response.status, json, reason: details[0]?.reason, headers: response.headers };
  };
  const socket = (name: string, request: JsonTree = {}, signal = never, timeoutMs?: number): Promise<unknown> =>
    calls.call(`im.logic.v1.${name}`, request, alice, trace, signal, timeoutMs);
  return { calls, reached, published, called, logged, rest, socket };
}

async function refusal(call: Promise<unknown>): Promise<[Code, string]> {
  const thrown: unknown = await call.catch((error: unknown) => error);
  return thrown instanceof ConnectError ? [thrown.code, reasonOf(thrown)] : expect.unreachable(String(thrown));
}

describe("a method for users, over REST", () => {
  test("is called for the token's user, with the trace", async () => {
    const { rest, reached } = start();
    expect(await rest("GET users/me", `Bearer ${await token()}`)).toMatchObject({
      status: 200,
      json: { user_id: "alice", is_guest: false },
    });
    expect(reached).toMatchObject([
      { method: "getMe", request: { callerId: "alice" }, traceparent: trace.traceparent },
    ]);
  });

  test.each([
    ["no header", undefined, "TOKEN_MISSING"],
    ["another scheme", "Basic YTpi", "TOKEN_MISSING"],
    ["an empty token", "Bearer", "TOKEN_INVALID"],
    ["a bad token", "Bearer x.y.z", "TOKEN_INVALID"],
    ["an expired token", token(1000).then((text) => `Bearer ${text}`), "TOKEN_EXPIRED"],
  ])("%s is 401, whatever else is wrong with the request", async (_name, authorization, reason) => {
    const { rest, reached, published } = start();
    for (const [line, body] of [
      ["GET users/me?nope=1", undefined],
      ["POST messages", [[]]],
    ] as const) {
      const answer = await rest(line, await authorization, body);
      expect([answer.status, answer.reason]).toEqual([401, reason]);
      expect(answer.json).toMatchObject({ code: "unauthenticated", trace_id: trace.traceId });
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    }
    expect([reached, published]).toEqual([[], []]);
  });
});

describe("a stream", () => {
  const exported = async ({ calls }: ReturnType<typeof start>, conversation: string): Promise<Response> =>
    calls.transcoder.handle({
      method: "GET",
      path: `/api/v1/conversations/${conversation}/messages:export`,
      headers: new Headers({ authorization: `Bearer ${await token()}` }),
      body: null,
    });

  test("is called for the token's user, and told of at its end", async () => {
    const started = start();
    const response = await exported(started, "single:1:2");
    expect(started.called).toEqual([]);
    const lines = (await response.text()).trim().split("\n");
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject(
      [1, 2, 3].map((seq_id) => ({ conversation_id: "single:1:2", sender_id: "alice", seq_id })),
    );
    expect(started.called).toEqual(["ExportMessages ok"]);
  });

  test("that fails at once, or whose reader leaves, is told of as that", async () => {
    const started = start();
    expect((await exported(started, "secret")).status).toBe(403);
    expect(started.called).toEqual(["ExportMessages permission_denied"]);
    await (await exported(started, "c")).body?.cancel();
    await expect.poll(() => started.called.at(-1)).toMatch(/^ExportMessages (?:canceled|ok)$/);
    expect(started.called).toHaveLength(2);
  });

  test("is not for the socket, and takes no caller", async () => {
    const { socket, rest } = start();
    const name = "MessageService/ExportMessages";
    expect(await refusal(socket(name, { conversation_id: "c" }))).toEqual([Code.Unimplemented, "STREAMING_METHOD"]);
    const line = "GET conversations/c/messages:export?caller_id=";
    expect(await rest(line, `Bearer ${await token()}`)).toMatchObject({ status: 400, reason: "INVALID_FIELD" });
  });
});

test("fields are named as the client wrote them, through both doors; a caller's own id is refused even when it is empty", async () => {
  const { rest, socket } = start();
  const request = { conversationId: "", senderId: "", client_msg_id: "m", messageType: 1 };
  const named = "senderId: is filled from the token; conversationId: is required; content: is required";
  const answer = await rest("POST messages", `Bearer ${await token()}`, request);
  expect(answer).toMatchObject({ status: 400, json: { message: named } });
  await expect(socket("MessageService/SendMessage", request)).rejects.toMatchObject({ rawMessage: named });
  expect(await rest("GET users/me?callerId=", `Bearer ${await token()}`)).toMatchObject({
    status: 400,
    json: { message: "callerId: is filled from the token" },
  });
});

describe("a method for anyone", () => {
  test.each([
    ["no token", undefined, ""],
    ["a bad token", "Bearer x.y.z", ""],
    ["a good token", token().then((text) => `Bearer ${text}`), "alice"],
  ])("with %s is called for %j", async (_name, authorization, callerId) => {
    const { rest, reached } = start();
    expect(await rest("POST auth/logout", await authorization, {})).toMatchObject({ status: 200, json: {} });
    expect(reached).toMatchObject([
      { method: "logout", request: { callerId, sessionId: callerId === "" ? "" : "s1" } },
    ]);
  });

  test("does not take identity from its body either", async () => {
    const { rest, reached } = start();
    const answer = await rest("POST auth/logout", undefined, { caller_id: "bob" });
    expect([answer.status, answer.reason, reached]).toEqual([400, "INVALID_FIELD", []]);
  });
});

describe("a message over REST", () => {
  const message = { message_type: 1, content: "hello", client_msg_id: "m1" };

  test.each([
    ["POST conversations/c1/messages", message],
    ["POST messages", { ...message, conversation_id: "c1" }],
  ])("%s goes upstream, signed by the token, and is answered 202", async (line, body) => {
    const { rest, reached, published } = start();
    expect(await rest(line, `Bearer ${await token()}`, body)).toMatchObject({
      status: 202,
      json: { client_msg_id: "m1", status: "accepted", trace_id: trace.traceId },
    });
    expect(published).toMatchObject([
      {
        traceId: trace.traceId,
        request: { senderId: "alice", deviceId: "phone", conversationId: "c1", content: "hello", clientMsgId: "m1" },
      },
    ]);
    expect(reached).toEqual([]);
  });

  test("that Kafka does not take is an error that may be retried", async () => {
    const publishFails = failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "away", { retryAfterMs: 1000 });
    const answer = await start({ publishFails }).rest("POST messages", `Bearer ${await token()}`, {
      ...message,
      conversation_id: "c1",
    });
    expect([answer.status, answer.reason, answer.headers.get("retry-after")]).toEqual([503, "KAFKA_UNAVAILABLE", "1"]);
  });

  test("without what is required is refused", async () => {
    const { rest, published } = start();
    const answer = await rest("POST messages", `Bearer ${await token()}`, { content: "x", sender_id: "bob" });
    expect([answer.status, published]).toEqual([400, []]);
    for (const name of ["sender_id", "conversation_id", "message_type", "client_msg_id"]) {
      expect(answer.json.message).toContain(name);
    }
  });
});

describe("over the socket", () => {
  test("a method is called for the connection's user, with the trace", async () => {
    const { socket, reached } = start();
    expect(await socket("UserService/GetMe")).toMatchObject({ user_id: "alice", nickname: "" });
    expect(reached).toMatchObject([
      { method: "getMe", request: { callerId: "alice" }, traceparent: trace.traceparent },
    ]);
  });

  test("a message goes upstream as over REST", async () => {
    const { socket, published, reached } = start();
    const request = { conversation_id: "c1", message_type: "text", content: "x", client_msg_id: "m" };
    expect(await socket("MessageService/SendMessage", request)).toEqual({
      client_msg_id: "m",
      status: "accepted",
      trace_id: trace.traceId,
    });
    expect(published).toMatchObject([{ request: { senderId: "alice", deviceId: "phone", messageType: 1 } }]);
    expect(reached).toEqual([]);
  });

  test.each([
    ["an unknown method", "UserService/Nope", {}, Code.Unimplemented, "UNKNOWN_METHOD"],
    ["a name with a slash before it", "/UserService/GetMe", {}, Code.Unimplemented, "UNKNOWN_METHOD"],
    ["an unknown field", "UserService/GetMe", { nope: 1 }, Code.InvalidArgument, "INVALID_FIELD"],
    ["the caller's id", "UserService/GetMe", { caller_id: "alice" }, Code.InvalidArgument, "INVALID_FIELD"],
    ["a missing field", "UserService/GetUser", {}, Code.InvalidArgument, "INVALID_FIELD"],
    ["no object", "UserService/GetMe", [], Code.InvalidArgument, "INVALID_FIELD"],
    ["what im-logic refuses", "UserService/GetUser", { user_id: "x" }, Code.NotFound, "USER_NOT_FOUND"],
  ])("%s is refused", async (_name, name, request, code, reason) => {
    expect(await refusal(start().socket(name, request))).toEqual([code, reason]);
  });

  test("a call ends by its own deadline, or when the gateway stops", async () => {
    const { socket } = start();
    const request = { conversation_id: "c" };
    const [late] = await refusal(socket("ConversationService/GetUnread", request, never, 20));
    expect(late).toBe(Code.DeadlineExceeded);
    const [stopped] = await refusal(socket("ConversationService/GetUnread", request, AbortSignal.timeout(20)));
    expect([Code.Canceled, Code.DeadlineExceeded]).toContain(stopped);
  });
});

test("faults are log lines, refusals are not", async () => {
  const { rest, logged } = start();
  const authorization = `Bearer ${await token()}`;
  expect(await rest("GET users/x", authorization)).toMatchObject({ status: 404, reason: "USER_NOT_FOUND" });
  expect((await rest("GET users/bug", authorization)).status).toBe(500);
  const fields = { method: "im.logic.v1.UserService/GetUser", trace_id: trace.traceId, user_id: "alice" };
  expect(logged).toMatchObject([
    ["debug", fields],
    ["error", fields],
  ]);
  await rest("GET users/x");
  expect(logged[2]).toMatchObject(["debug", { ...fields, user_id: undefined }]);
});
