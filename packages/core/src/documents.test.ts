// The documents of a gateway with services of its own.
import { createRouterTransport } from "@connectrpc/connect";
import { UserService } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { createCounters } from "./counters.ts";
import type { Documents } from "./documents.ts";
import { createHttp } from "./http.ts";
import { createTranscoder } from "./transcode/transcoder.ts";

const own: Documents = {
  openapi: { openapi: "3.1.0" },
  asyncapi: { asyncapi: "3.0.0" },
  page: { html: "<!doctype html>", contentSecurityPolicy: "default-src 'none'" },
};

function serve(documents?: () => Promise<Documents>): {
  readonly counted: string[];
  readonly get: (path: string) => Promise<Response>;
} {
  const counted: string[] = [];
  const app = createHttp({
    gatewayId: "g1",
    instance: "i1",
    version: "1.2.3",
    admit: () => {},
    counters: createCounters(),
    maxBodyBytes: 100,
    unready: () => [],
    documents,
    observer: {
      answered: (method, route, status) => counted.push(`${method} ${route} ${status}`),
      called: () => {},
      published: () => {},
    },
    transcoder: createTranscoder({ services: [UserService], transport: createRouterTransport(() => {}) }),
  });
  return { counted, get: async (path) => app.request(path) };
}

test("they are served as they were given, loaded once, and counted", async () => {
  let loads = 0;
  const { get, counted } = serve(async () => {
    loads++;
    return own;
  });
  expect(loads).toBe(0);
  expect(await (await get("/openapi.json")).json()).toEqual(own.openapi);
  expect(await (await get("/asyncapi.json")).json()).toEqual(own.asyncapi);
  const page = await get("/docs");
  expect(await page.text()).toBe(own.page.html);
  expect(page.headers.get("content-security-policy")).toBe(own.page.contentSecurityPolicy);
  expect(loads).toBe(1);
  expect(counted).toEqual(["GET /openapi.json 200", "GET /asyncapi.json 200", "GET /docs 200"]);
});

test("a gateway without documents has no such paths", async () => {
  for (const path of ["/openapi.json", "/asyncapi.json", "/docs"]) {
    expect((await serve().get(path)).status).toBe(404);
  }
});

test("documents that can not be loaded are an error of ours, and are tried again", async () => {
  let isThere = false;
  const { get } = serve(async () => {
    if (!isThere) {
      throw new Error("the file is away");
    }
    return own;
  });
  const failed = await get("/docs");
  expect([failed.status, await failed.json()]).toMatchObject([500, { code: "internal", message: "internal error" }]);
  isThere = true;
  expect((await get("/docs")).status).toBe(200);
});
