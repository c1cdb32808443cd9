// The small rules: addresses, URLs, delays, closes, errors, streams.
import { describe, expect, expectTypeOf, test } from "vitest";
import { addresses } from "./addresses.ts";
import { reconnectDelayMs } from "./backoff.ts";
import { closeError, reconnects } from "./close-codes.ts";
import { createEmitter } from "./emitter.ts";
import { readError } from "./errors.ts";
import { type Client, createClient, ImError, type MessageAckData, MessageType, type NewMessageData } from "./index.ts";
import { toHttpRequest } from "./route.ts";

test.each([
  ["http://h:8080", "http://h:8080", "ws://h:8080/ws"],
  ["https://h/", "https://h", "wss://h/ws"],
  ["https://h/im/", "https://h/im", "wss://h/im/ws"],
  ["ws://h:8080", "http://h:8080", "ws://h:8080/ws"],
  ["ws://h:8080/ws", "http://h:8080", "ws://h:8080/ws"],
  ["wss://h/im/socket?zone=1", "https://h/im", "wss://h/im/socket?zone=1"],
])("url %s: HTTP at %s, the socket at %s", (url, http, socket) => {
  expect(addresses(url)).toEqual({ http, socket });
});

test.each(["", "h:8080", "ftp://h", "/ws"])("%j is no url", (url) => {
  expect(() => createClient({ url, getToken: () => "" })).toThrow(TypeError);
});

describe("requests", () => {
  test.each([
    ["GET /a -", {}, "/a", undefined],
    ["GET /a/{id} -", { id: "x" }, "/a/x", undefined],
    ["GET /a/{id}:do -", { id: "a/b:c %\u00fc+&" }, "/a/a%2Fb%3Ac%20%25%C3%BC%2B%26:do", undefined],
    ["GET /a/{id}/b/{b_id} -", { b_id: "2", id: "1", q: "x" }, "/a/1/b/2?q=x", undefined],
    [
      "GET /a -",
      { q: "a b&c=d+e", n: 0, yes: false, list: ["1", "2"] },
      "/a?q=a+b%26c%3Dd%2Be&n=0&yes=false&list=1&list=2",
      undefined,
    ],
    ["GET /a -", { q: undefined, none: null, empty: [] }, "/a", undefined],
    ["GET /a -", { page: { size: 5, at: { seq: 1 } } }, "/a?page.size=5&page.at.seq=1", undefined],
    ["POST /a *", { text: "x" }, "/a", { text: "x" }],
    ["POST /a/{id} *", { id: "1", text: "x" }, "/a/1", { text: "x" }],
    ["POST /a/{id} *", { id: "1" }, "/a/1", {}],
    ["PATCH /a/{id} user", { id: "1", user: { name: "x" }, mask: "name" }, "/a/1?mask=name", { name: "x" }],
  ])("%s of %j: %s", (route, request, path, body) => {
    expect(toHttpRequest(route, request)).toEqual({ method: route.split(" ")[0], path, body });
  });

  test.each(["", ".", ".."])("an id %j is refused", (id) => {
    expect(() => toHttpRequest("GET /a/{id} -", { id })).toThrow(ImError);
  });
});

test.each([
  [0, 0.5, undefined, 250],
  [1, 1, undefined, 1000],
  [3, 0.5, undefined, 2000],
  [6, 1, undefined, 30_000],
  [5000, 0.1, undefined, 3000],
  [0, 0.5, { reconnect_after_ms: 2000, reconnect_within_ms: 1000 }, 2500],
  [4, 0, { reconnect_after_ms: 0, reconnect_within_ms: 1000 }, 0],
  [1, 1, { reconnect_after_ms: 0, reconnect_within_ms: 0 }, 1000],
])("attempt %i, random %d, window %j: after %d ms", (attempt, random, window, delayMs) => {
  expect(reconnectDelayMs(attempt, random, window)).toBe(delayMs);
});

test.each([
  [true, [1001, 1006, 1011, 1012, 1013, 4000, 4001, 4003, 4008, 4009, 4029, 4499]],
  [false, [1000, 1003, 1007, 1009, 4500, 4501, 4503, 4509, 4999]],
])("reconnects %s after %j", (expected, codes) => {
  expect(codes.map(reconnects)).toEqual(codes.map(() => expected));
});

test.each([
  [4501, "unauthenticated", "TOKEN_INVALID"],
  [4503, "permission_denied", "KICKED"],
  [4509, "aborted", "REPLACED"],
  [1009, "internal", "CLOSED_1009"],
])("closed %i is %s %s", (code, errorCode, reason) => {
  expect(closeError(code, "")).toMatchObject({ code: errorCode, reason });
});

describe("errors", () => {
  const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "TOO_MANY" };
  const retry = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retry_delay: "1.5s" };
  test.each([
    [
      "a body",
      { code: "not_found", message: "m", details: [info], trace_id: "t" },
      { code: "not_found", reason: "TOO_MANY", message: "m", trace_id: "t" },
    ],
    [
      "a frame",
      { code: "aborted", reason: "R", retry_after_ms: 7, client_msg_id: "c" },
      { reason: "R", retry_after_ms: 7, client_msg_id: "c" },
    ],
    [
      "RetryInfo before Retry-After",
      { code: "unavailable", details: [retry] },
      { retry_after_ms: 1500, retryable: true },
    ],
    ["Retry-After", { code: "unavailable" }, { retry_after_ms: 3000 }],
    ["details that are none", { code: "internal", details: [1, null] }, { details: [], reason: "", retryable: false }],
  ])("%s", (_name, body, expected) => {
    expect(readError(body, 3000)).toMatchObject(expected);
  });

  test.each([undefined, null, "x", {}, { code: 5 }, []])("%j is none", (value) => {
    expect(readError(value)).toBeUndefined();
  });
});

describe("answers of HTTP", () => {
  const answering = (body: BodyInit | null, init: ResponseInit = {}): Client =>
    createClient({ url: "http://h", getToken: () => "t", fetch: async () => new Response(body, init) });
  const page = (status: number, headers = {}): Client => answering("<html>", { status, headers });

  test.each([
    [page(502), { code: "unavailable", reason: "HTTP_STATUS" }],
    [page(429, { "retry-after": "2" }), { code: "resource_exhausted", retry_after_ms: 2000 }],
    [page(200), { code: "internal", reason: "MALFORMED_ANSWER" }],
    [answering("", { status: 418 }), { code: "unknown" }],
  ])("that are not the gateway's own", async (im, expected) => {
    await expect(im.user.getMe()).rejects.toMatchObject(expected);
  });

  let cancelled = false;
  /** In pieces that end anywhere. */
  const stream = (text: string, broken = false): ReadableStream<Uint8Array> => {
    const bytes = new TextEncoder().encode(text);
    let at = 0;
    return new ReadableStream({
      pull(controller) {
        if (at < bytes.length) {
          controller.enqueue(bytes.slice(at, at + 7));
          at += 7;
        } else if (broken) {
          controller.error(new TypeError("terminated"));
        } else {
          controller.close();
        }
      },
      cancel() {
        cancelled = true;
      },
    });
  };
  const read = async (body: ReadableStream<Uint8Array>, most = 9): Promise<readonly unknown[]> => {
    const got: unknown[] = [];
    try {
      for await (const { content } of answering(body).message.exportMessages({ conversation_id: "c" })) {
        if (got.push(content) === most) {
          break;
        }
      }
    } catch (error) {
      got.push(error instanceof ImError ? error.code : error);
    }
    return got;
  };
  const line = (content: string): string => `${JSON.stringify({ content })}\n`;

  test("a stream is read line by line, whatever pieces it comes in", async () => {
    expect(await read(stream(line("one") + line("zw\u00f6lf \ud83d\ude00")))).toEqual([
      "one",
      "zw\u00f6lf \ud83d\ude00",
    ]);
    expect(await read(stream(line("one") + line("two").trimEnd()))).toEqual(["one", "two"]);
    expect(await read(stream(""))).toEqual([]);
  });

  test("an error after the first byte, and a stream that breaks off, are errors", async () => {
    expect(await read(stream(`${line("one")}{"error":{"code":"data_loss"}}\n`))).toEqual(["one", "data_loss"]);
    expect(await read(stream(line("one"), true))).toEqual(["one", "unavailable"]);
  });

  test("who leaves the loop ends the stream", async () => {
    const body = stream(line("one").repeat(100));
    expect(await read(body, 1)).toEqual(["one"]);
    expect(cancelled).toBe(true);
  });
});

test("a fresh token is asked for once at a time: a refresh token works once", async () => {
  const asked: boolean[] = [];
  const im = createClient({
    url: "http://h",
    async getToken({ refresh }) {
      asked.push(refresh);
      return refresh ? "fresh" : "old";
    },
    fetch: async (_url, init) =>
      new Headers(init?.headers).get("authorization") === "Bearer fresh"
        ? Response.json({ user_id: "u" })
        : Response.json({ code: "unauthenticated", details: [{ reason: "TOKEN_EXPIRED" }] }, { status: 401 }),
  });
  await Promise.all([im.user.getMe(), im.user.getMe(), im.user.getMe()]);
  expect(asked.filter((refresh) => refresh)).toHaveLength(1);
});

test.each([
  ["hangs", () => new Promise<string>(() => {}), { code: "deadline_exceeded" }],
  ["fails", () => Promise.reject(new Error("offline")), { code: "unavailable", reason: "NO_TOKEN" }],
  ["is refused", () => Promise.reject(new ImError("unauthenticated", "X", "")), { code: "unauthenticated" }],
])("a getToken that %s ends the call", async (_name, getToken, expected) => {
  const im = createClient({ url: "http://h", getToken, fetch: async () => Response.json({}) });
  await expect(im.user.getMe({}, { timeout_ms: 20 })).rejects.toMatchObject(expected);
});

test("a listener that throws stops no other, and is reported", async () => {
  const reported = new Promise((resolve) => process.once("uncaughtException", resolve));
  const { on, emit } = createEmitter<{ tick: number }>();
  const heard: number[] = [];
  on("tick", () => {
    throw new Error("of a listener");
  });
  on("tick", (n) => heard.push(n));
  emit("tick", 1);
  expect(heard).toEqual([1]);
  expect(await reported).toMatchObject({ message: "of a listener" });
});

test("types: of events, requests, answers and enums", () => {
  const im = createClient({ url: "http://h", getToken: () => "" });
  im.on("new-message", (message) => expectTypeOf(message).toEqualTypeOf<NewMessageData>());
  im.on("error", (error) => expectTypeOf(error).toEqualTypeOf<ImError>());
  expectTypeOf(im.sendMessage).returns.toEqualTypeOf<Promise<MessageAckData>>();
  expectTypeOf<MessageType>().toExtend<number>();
  expectTypeOf(99).toExtend<MessageType>();
  expectTypeOf(MessageType.TEXT).toEqualTypeOf<1>();
  expectTypeOf(im.auth.login).parameter(0).toHaveProperty("username").toEqualTypeOf<string>();
  // What the token fills is no part of a request.
  expectTypeOf(im.user.updateMe).parameter(0).not.toHaveProperty("caller_id");
  const wrong = (): unknown => [
    // @ts-expect-error no such event
    im.on("new-mesage", () => {}),
    // @ts-expect-error a required field
    im.auth.login({ username: "x" }),
    // @ts-expect-error no such method
    im.call("im.logic.v1.UserService/Nothing", {}),
  ];
  expect(wrong).toBeTypeOf("function");
});
