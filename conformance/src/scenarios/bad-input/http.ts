// Bad requests over HTTP: each its own answer, counted once.
import { beforeAll, describe, expect, test } from "vitest";
import { asRecord, register, rest, type User } from "../../client.ts";
import { exchange, openWire, parseAnswer, type WireRequest } from "../../exchange.ts";
import { contentMark } from "../../output.ts";
import { changes, scrape } from "../../scrape.ts";
import type { World } from "../../world.ts";
import { startBystanders } from "./bystanders.ts";
import { expectNoInternals, expectRefusal, type Refusal } from "./refusal.ts";
import { badCalls } from "./routes.ts";
import { brokenRules } from "./rules.ts";

interface Case extends Refusal {
  readonly request: WireRequest & { readonly anonymous?: boolean };
  readonly status: number;
  /** As `http_requests_total` names it; default: the path of the request. */
  readonly route?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const malformed = { status: 400, code: "invalid_argument", reason: "MALFORMED_JSON" } as const;
const noRoute = { status: 404, code: "not_found", reason: "NO_ROUTE", route: "none" } as const;
const dots = { status: 400, code: "invalid_argument", reason: "DOT_SEGMENT", route: "none" } as const;
const tooLarge = { status: 413, code: "resource_exhausted", reason: "BODY_TOO_LARGE", route: "none" } as const;
const unsupported = { status: 415, code: "invalid_argument", reason: "UNSUPPORTED_MEDIA_TYPE" } as const;
const notAcceptable = { status: 406, code: "invalid_argument", reason: "NOT_ACCEPTABLE" } as const;

const api = "/api/v1";
const readRoute = `${api}/conversations/{conversation_id}/read`;
const mebibyte = 1024 * 1024;

function invalid(field: string): Refusal & { readonly status: number } {
  return { status: 400, code: "invalid_argument", reason: "INVALID_FIELD", field };
}

function notAllowed(allow: string): Refusal & Pick<Case, "status" | "headers" | "route"> {
  return { status: 405, code: "unimplemented", reason: "METHOD_NOT_ALLOWED", headers: { allow }, route: "none" };
}

function get(path: string, headers: Readonly<Record<string, string>> = {}): WireRequest {
  return { method: "GET", path: api + path, headers };
}

function send(method: string, path: string, body: WireRequest["body"], headers = {}): WireRequest {
  return { method, path: api + path, body, headers: { "content-type": "application/json", ...headers } };
}

function login(body: WireRequest["body"], headers = {}): WireRequest & { readonly anonymous: boolean } {
  return { ...send("POST", "/auth/login", body, headers), anonymous: true };
}

function message(fields: Readonly<Record<string, unknown>>): WireRequest {
  const whole = { conversation_id: "c", message_type: 1, content: contentMark, client_msg_id: "m", ...fields };
  return send("POST", "/messages", JSON.stringify(whole));
}

function nested(depth: number): string {
  return `{"username":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
}

const cases: Readonly<Record<string, Case>> = {
  // What is no JSON, or no JSON of ours.
  "a body that breaks off": { request: login(`{"username":"${contentMark}`), ...malformed },
  "a body of words": { request: login(contentMark), ...malformed },
  "single quotes": { request: login(`{'username':'${contentMark}'}`), ...malformed },
  "a trailing comma": { request: login('{"username":"a","password":"b",}'), ...malformed },
  "two bodies in one": { request: login("{} {}"), ...malformed },
  "a number too large for a double": { request: login('{"username":1e400}'), ...malformed },
  "a body that is not UTF-8": { request: login(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])), ...malformed },
  "a duplicate key": { request: login('{"username":"a","username":"b"}'), ...malformed },
  "a duplicate key further in": { request: login('{"username":[{"a":1,"a":2}]}'), ...malformed },
  "a lone surrogate": { request: login('{"username":"\\ud800"}'), ...malformed },
  "nesting over 100": { request: login(nested(101)), ...malformed },
  "nesting of 100 is no malformed JSON": { request: login(nested(100)), ...invalid("username") },
  "a key that is __proto__": { request: login('{"__proto__":{"username":"a"}}'), ...malformed },
  "an array in place of an object": { request: login("[]"), ...invalid("") },
  "a string in place of an object": { request: login(`"${contentMark}"`), ...invalid("") },
  "null in place of an object": { request: login("null"), ...invalid("") },

  // Fields, besides what routes.ts says of each.
  "no body at all": { request: login(undefined), ...invalid("username") },
  "a required field that is empty": { request: login('{"username":"","password":"b"}'), ...invalid("username") },
  "an enum's zero where it is required": { request: message({ message_type: 0 }), ...invalid("message_type") },
  "an item of a list that im-logic refuses": {
    request: send("POST", "/conversations", '{"type":1,"member_ids":["nobody"]}'),
    status: 404,
    code: "not_found",
    reason: "USER_NOT_FOUND",
    field: "member_ids[0]",
  },
  "a field in both spellings": {
    request: login('{"username":"a","password":"b","device_id":"d","deviceId":"d"}'),
    ...invalid("device_id"),
  },
  "a field that the path gives": {
    request: send("PUT", "/conversations/c/read", '{"conversation_id":"d","seq_id":1}'),
    ...invalid("conversation_id"),
    route: readRoute,
  },
  "a content that no frame could hold": {
    request: message({ content: "x".repeat(65_537) }),
    status: 400,
    code: "invalid_argument",
    reason: "MESSAGE_TOO_LARGE",
  },
  "the sender's device, in camel case": { request: message({ deviceId: "another" }), ...invalid("deviceId") },
  "the sender, but empty": { request: message({ sender_id: "" }), ...invalid("sender_id") },
  "a body where none belongs": {
    request: send("DELETE", "/conversations/c", "{}"),
    ...invalid(""),
    route: `${api}/conversations/{conversation_id}`,
  },

  // Path and query.
  "a query parameter given twice": {
    request: get("/conversations?page_size=1&page_size=2"),
    ...invalid("page_size"),
    route: `${api}/conversations`,
  },
  "bad percent-encoding in a path": { request: get("/users/%zz"), ...invalid(""), route: "none" },
  "invalid UTF-8 in a path": { request: get("/users/%c3%28"), ...invalid(""), route: "none" },
  "bad percent-encoding in a query": {
    request: get("/conversations?page_token=%"),
    ...invalid(""),
    route: `${api}/conversations`,
  },
  "invalid UTF-8 in a query": {
    request: get("/conversations?page_token=%ff"),
    ...invalid(""),
    route: `${api}/conversations`,
  },
  "a .. segment": { request: get("/users/../users/me"), ...dots },
  "an encoded .. segment": { request: get("/users/%2e%2E/me"), ...dots },
  "a . segment": { request: get("/users/./me"), ...dots },
  "a .. segment before a path that is there": { request: { method: "GET", path: "/x/../health" }, ...dots },
  "an unknown route": { request: get(`/${contentMark}`), ...noRoute },
  "a trailing slash": { request: get("/users/me/"), ...noRoute },
  "two slashes": { request: get("//users/me"), ...noRoute },
  "no path of ours": { request: { method: "GET", path: "/index.html" }, ...noRoute },

  // Methods and media types.
  "a method that the path does not have": {
    request: { ...send("DELETE", "/auth/login", undefined) },
    ...notAllowed("POST, OPTIONS"),
  },
  "a method that HTTP hardly knows": {
    request: { method: "PROPFIND", path: `${api}/users/me` },
    ...notAllowed("GET, PATCH, HEAD, OPTIONS"),
  },
  "a POST to /ready": {
    request: { method: "POST", path: "/ready" },
    ...notAllowed("GET, HEAD, OPTIONS"),
    route: "/ready",
  },
  "a body of text/plain": { request: login("{}", { "content-type": "text/plain" }), ...unsupported },
  "a form": { request: login("username=a", { "content-type": "application/x-www-form-urlencoded" }), ...unsupported },
  "another charset": { request: login("{}", { "content-type": "application/json; charset=latin1" }), ...unsupported },
  "a compressed body": { request: login("{}", { "content-encoding": "gzip" }), ...unsupported },
  "an Accept without JSON": { request: login('{"username":"a"}', { accept: "text/html" }), ...notAcceptable },

  "an Accept that excludes JSON": {
    request: login('{"username":"a"}', { accept: "text/html, application/json;q=0" }),
    ...notAcceptable,
  },

  // Size.
  "a body over the limit": { request: login(Buffer.alloc(2 * mebibyte, 0x20)), ...tooLarge },
  "a body over the limit, in chunks": {
    request: login(Array.from({ length: 20 }, () => Buffer.alloc(mebibyte / 10, 0x20))),
    ...tooLarge,
  },
};

/** What is no HTTP: some runtimes answer by themselves, before anybody can count or word it. */
const noHttp: Readonly<Record<string, string>> = {
  "bytes that are no HTTP": "\x00\x01\x02garbage\r\n\r\n",
  "a TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "an unknown version": "GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
  "no Host": "GET /health HTTP/1.1\r\n\r\n",
  "two lengths": "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
  "a length and chunks":
    "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "a chunk without a length": "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  "headers without an end": `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${"a".repeat(100_000)}\r\n\r\n`,
};

export function badHttpScenarios(world: () => World): void {
  const gateway = (): World["gateways"][0] => world().gateways[0];

  describe("bad input over HTTP", () => {
    const bystanders = startBystanders(world);
    let user: User;
    beforeAll(async () => {
      user = await register(gateway(), "clumsy");
    });

    const refused = async (_name: string, expected: Case): Promise<void> => {
      const { request, route = request.path, headers = {}, field, ...refusal } = expected;
      const before = await scrape(gateway().metrics);
      const authorization = request.anonymous ? {} : { authorization: `Bearer ${user.accessToken}` };
      const answer = await exchange(gateway().http, { ...request, headers: { ...authorization, ...request.headers } });
      expectRefusal(answer, { ...refusal, field }, contentMark, user.accessToken);
      expect(answer.headers).toMatchObject(headers);
      const method = ["GET", "POST", "PUT", "PATCH", "DELETE"].includes(request.method) ? request.method : "OTHER";
      expect(changes("http_requests_total", before, await scrape(gateway().metrics))).toEqual({
        [`method="${method}",route="${route}",status="${expected.status}"`]: 1,
      });
    };

    test.each(Object.entries(cases))("%s", refused);
    test.each([...badCalls(), ...brokenRules()])("%s", (name, { field, ...call }) =>
      refused(name, { ...call, ...invalid(field) }),
    );

    test("an identity field that is null has not been sent", async () => {
      const answer = await rest(gateway(), "POST", "/messages", {
        token: user.accessToken,
        body: { sender_id: null, conversation_id: "c", message_type: 1, content: "x", client_msg_id: "m" },
      });
      expect(answer.status).toBe(202);
    });

    test("the caller's trace comes back in a refusal", async () => {
      const traceId = "0af7651916cd43dd8448eb211c80319c";
      const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
      const answer = await exchange(gateway().http, { method: "GET", path: "/nowhere", headers: { traceparent } });
      expect(asRecord(JSON.parse(answer.text)).trace_id).toBe(traceId);
    });

    test.each(Object.entries(noHttp))("%s: the connection ends", async (_name, bytes) => {
      const wire = await openWire(gateway().http);
      wire.write(Buffer.from(bytes, "latin1"));
      const { bytes: answered } = await wire.closed;
      if (answered.length > 0) {
        const { status, text } = parseAnswer(answered);
        expect([400, 413, 414, 431, 505]).toContain(status);
        expectNoInternals(text);
      }
    });

    bystanders.addTest();
  });
}
