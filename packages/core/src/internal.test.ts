// The internal port's Connect door: what it refuses is told in our words, as everywhere.
import { describe, expect, test } from "vitest";
import { start } from "../test/start-gateway.ts";

const push = "http://localhost/im.gateway.v1.PushService/Push";

describe("what Connect itself refuses is told in no library's words", () => {
  test.each<[string, RequestInit, number, string, string]>([
    ["broken JSON", { body: "{bad" }, 400, "invalid_argument", "the request can not be read"],
    [
      "a duplicate key",
      { body: '{"user_ids":[],"user_ids":[]}' },
      400,
      "invalid_argument",
      "the request can not be read",
    ],
    ["a wrong type", { body: '{"user_ids":5}' }, 400, "invalid_argument", "the request can not be read"],
    ["too large", { body: `"${"a".repeat(2 ** 20)}"` }, 429, "resource_exhausted", "the body is too large"],
    [
      "a broken deadline",
      { headers: { "connect-timeout-ms": "x" } },
      400,
      "invalid_argument",
      "the request can not be read",
    ],
    [
      "compressed",
      { headers: { "content-encoding": "gzip" } },
      501,
      "unimplemented",
      "the body must not be compressed",
    ],
    [
      "another type",
      { headers: { "content-type": "text/plain" } },
      415,
      "invalid_argument",
      "the content type must be application/json or application/proto",
    ],
    ["another method", { method: "GET", body: null }, 405, "unimplemented", "this path answers POST"],
  ])("%s", async (_name, init, status, code, message) => {
    const { gateway } = await start();
    const { headers, ...rest } = init;
    const request = new Request(push, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json", ...headers },
      ...rest,
    });
    const response = await gateway.internal(request);
    expect([response.status, await response.json()]).toEqual([status, { code, message }]);
    expect(response.headers.get("allow")).toBe(status === 405 ? "POST" : null);
  });
});

test("what the contract refuses has its violations", async () => {
  const { gateway } = await start();
  const headers = { "content-type": "application/json" };
  const response = await gateway.internal(new Request(push, { method: "POST", body: "{}", headers }));
  expect(response.status).toBe(400);
  expect(await response.text()).toContain('"fieldViolations":[{"field":"user_ids","description":"is required"}');
});

test.each([
  [40, 200],
  [60, 400],
])("data nested %i deep: %i", async (depth, status) => {
  const { gateway } = await start();
  const data = `{"user_id":"a","x":${'{"a":'.repeat(depth)}1${"}".repeat(depth)}}`;
  const body = `{"user_ids":["a"],"frame":{"type":"online-status","data":${data}}}`;
  const headers = { "content-type": "application/json" };
  const request = new Request("http://localhost/internal/v1/push", { method: "POST", body, headers });
  expect((await gateway.internal(request)).status).toBe(status);
});
