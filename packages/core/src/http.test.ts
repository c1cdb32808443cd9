// The Hono app: what is not REST of the contract, the bound of a body, and the raw path.
import { createRouterTransport } from "@connectrpc/connect";
import { AuthService, UserService } from "@im-gateway/proto";
import { describe, expect, test } from "vitest";
import { createCounters } from "./counters.ts";
import { createHttp } from "./http.ts";
import { createTranscoder } from "./transcode/transcoder.ts";

const maxBodyBytes = 100;
let reasons: readonly string[] = [];
const app = createHttp({
  gatewayId: "g1",
  instance: "i1",
  version: "1.2.3",
  maxBodyBytes,
  admit: () => {},
  counters: createCounters(),
  unready: () => reasons,
  pages: new Map([["/hello", { headers: { "content-type": "text/plain" }, body: "Hello" }]]),
  transcoder: createTranscoder({
    services: [AuthService, UserService],
    transport: createRouterTransport(({ service }) => {
      service(AuthService, { login: ({ username }) => ({ tokenType: username }) });
      service(UserService, { getUser: ({ userId }) => ({ userId }) });
    }),
  }),
});

const fetch = async (path: string, init: RequestInit = {}, env: { rawPath?: string } = {}): Promise<Response> =>
  app.fetch(new Request(`http://x${path}`, init), env);

test("/health says who is there", async () => {
  const response = await fetch("/health");
  expect([response.status, await response.json()]).toEqual([
    200,
    { status: "ok", gateway_id: "g1", instance: "i1", version: "1.2.3" },
  ]);
  expect((await fetch("/health", { method: "HEAD" })).status).toBe(200);
});

test("/ready is 503 with its reasons", async () => {
  reasons = ["kafka: away"];
  const away = await fetch("/ready");
  reasons = [];
  expect([away.status, await away.json()]).toEqual([503, { ready: false, reasons: ["kafka: away"] }]);
  expect((await fetch("/ready")).status).toBe(200);
});

test("a page is answered as it is", async () => {
  const page = await fetch("/hello");
  expect([page.status, page.headers.get("content-type"), await page.text()]).toEqual([200, "text/plain", "Hello"]);
  expect(await (await fetch("/hello", { method: "HEAD" })).text()).toBe("");
});

test.each([
  ["GET", "/", 404, "NO_ROUTE"],
  ["POST", "/hello", 405, "METHOD_NOT_ALLOWED"],
  ["GET", "/api/v1/nowhere", 404, "NO_ROUTE"],
  ["POST", "/health", 405, "METHOD_NOT_ALLOWED"],
  ["DELETE", "/api/v1/users/u", 405, "METHOD_NOT_ALLOWED"],
])("%s %s is %s", async (method, path, status, reason) => {
  const response = await fetch(path, { method });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ details: [{ reason }] });
});

describe("a body", () => {
  const headers = { "content-type": "application/json" };
  const login = (length: number): string => {
    const empty = JSON.stringify({ username: "", password: "p" });
    return JSON.stringify({ username: "u".repeat(length - empty.length), password: "p" });
  };
  const streamed = (text: string): RequestInit => ({
    method: "POST",
    headers,
    body: new Blob([text]).stream(),
    // Asked for by the Fetch standard where the body is a stream; its types do not know it.
    ...{ duplex: "half" },
  });

  test.each([
    ["of the largest size", { method: "POST", headers, body: login(maxBodyBytes) }, 200],
    ["one byte larger", { method: "POST", headers, body: login(maxBodyBytes + 1) }, 413],
    ["of the largest size, its length not announced", streamed(login(maxBodyBytes)), 200],
    ["one byte larger, its length not announced", streamed(login(maxBodyBytes + 1)), 413],
    [
      "announced as larger than it is",
      { method: "POST", headers: { ...headers, "content-length": "101" }, body: "{}" },
      413,
    ],
  ])("%s", async (_name, init, status) => {
    const response = await fetch("/api/v1/auth/login", init);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject(
      status === 200
        ? { token_type: expect.stringMatching(/^u+$/) }
        : { code: "resource_exhausted", details: [{ reason: "BODY_TOO_LARGE" }] },
    );
  });

  test("that breaks off is an answer, not a crash", async () => {
    const body = new ReadableStream({
      start: (controller) => controller.error(new Error("a reset connection")),
    });
    const response = await fetch("/api/v1/auth/login", { method: "POST", headers, body, ...{ duplex: "half" } });
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("reset");
  });
});

test.each([
  ["/api/v1/users/u", undefined, 200],
  // What a Request normalises is seen as it came.
  ["/api/v1/users/u", "/api/v1/x/../users/u", 400],
  ["/api/v1/users/u", "/api/v1/users/%2e", 400],
  ["/", "/api/v1/users/a%2Fb", 200],
  ["/", "", 404],
])("%s with the raw path %s", async (path, rawPath, status) => {
  const response = await fetch(path, {}, rawPath === undefined ? {} : { rawPath });
  expect(response.status).toBe(status);
});
