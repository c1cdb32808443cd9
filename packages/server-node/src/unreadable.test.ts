import { connect } from "node:net";
import { createRouterTransport } from "@connectrpc/connect";
import { createGateway, type Gateway } from "@im-gateway/core";
import { createMemoryBus, createMemoryRegistry } from "@im-gateway/core/memory";
import { AuthService } from "@im-gateway/proto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { serveGateway } from "./server.ts";

const log = (): void => undefined;
const counted: string[] = [];
let gateway: Gateway;
/** What a login waits for before it is answered. */
let answer: Promise<void> = Promise.resolve();
let asked = 0;
let listening: Awaited<ReturnType<typeof serveGateway>>;

beforeAll(async () => {
  const { producer, consumer } = createMemoryBus().connect();
  gateway = createGateway({
    gatewayId: "one",
    version: "0",
    producer,
    consumer,
    registry: createMemoryRegistry(),
    transport: createRouterTransport(({ service }) => {
      service(AuthService, {
        async login() {
          asked += 1;
          await answer;
          return {};
        },
      });
    }),
    log,
    jwt: { secret: "a secret for this test only" },
    observer: {
      published() {},
      called() {},
      answered: (method, route, status) => counted.push(`${method} ${route} ${status}`),
    },
  });
  listening = await serveGateway({ gateway, host: "127.0.0.1", port: 0, log, readTimeoutMs: 300 });
  await gateway.start({ address: listening.host, port: listening.port }, new AbortController().signal);
});

beforeEach(() => {
  counted.length = 0;
});

afterAll(async () => {
  const deadline = AbortSignal.timeout(5000);
  const closed = listening.close(deadline);
  await gateway.drain(deadline);
  await closed;
});

/** All that the server said until it ended the connection. */
function say(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const socket = connect(listening.port, listening.host, () => socket.write(Buffer.from(bytes, "latin1")));
    socket.setEncoding("utf8");
    socket.on("data", (text) => {
      said += text;
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(said));
  });
}

const post = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n";
const upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

test.each([
  ["no HTTP", "\x00\x01garbage\r\n\r\n", 400, "MALFORMED_REQUEST"],
  ["an unknown version", "GET /health HTTP/9.9\r\nHost: x\r\n\r\n", 400, "MALFORMED_REQUEST"],
  ["an unknown method", "FLY /health HTTP/1.1\r\nHost: x\r\n\r\n", 400, "MALFORMED_REQUEST"],
  ["no Host", "GET /health HTTP/1.1\r\n\r\n", 400, "MALFORMED_REQUEST"],
  ["a Host that is none", "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "MALFORMED_REQUEST"],
  ["raw bytes in the path", "GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400, "MALFORMED_REQUEST"],
  ["two lengths", `${post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`, 400, "MALFORMED_REQUEST"],
  ["a bad chunk", `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, "MALFORMED_REQUEST"],
  ["long headers", `GET /health HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 431, "HEADERS_TOO_LARGE"],
  ["headers without an end", "GET /health HTTP/1.1\r\nHost: x\r\n", 408, "REQUEST_TIMEOUT"],
  ["a body that never comes", `${post}Content-Length: 2\r\n\r\n`, 408, "REQUEST_TIMEOUT"],
  ["a handshake without a key", `${upgrade}Sec-WebSocket-Version: 13\r\n\r\n`, 400, "BAD_HANDSHAKE"],
  ["a handshake of another version", `${upgrade}${key}Sec-WebSocket-Version: 99\r\n\r\n`, 400, "BAD_HANDSHAKE"],
])("%s: our own answer, counted once, and the connection ends", async (_name, bytes, status, reason) => {
  const said = await say(bytes);
  expect(said).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  const [head = "", body = ""] = said.split("\r\n\r\n");
  expect(head.match(/^connection: close$/gim)).toHaveLength(1);
  expect(JSON.parse(body)).toMatchObject({ details: [{ reason }], trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) });
  expect(counted).toEqual([`OTHER none ${status}`]);
});

test.each([
  ["a whole URL as the target", "GET http://other/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
  ["HTTP/1.0 without Host", "GET /health HTTP/1.0\r\n\r\n"],
  ["an expectation", "GET /health HTTP/1.1\r\nHost: x\r\nExpect: fly\r\nConnection: close\r\n\r\n"],
])("%s is understood", async (_name, bytes) => {
  expect(await say(bytes)).toMatch(/^HTTP\/1\.1 200 /);
  expect(counted).toEqual(["GET /health 200"]);
});

test("a body that its client breaks off is counted once, as what it is", async () => {
  await new Promise<void>((resolve) => {
    const socket = connect(listening.port, listening.host, () => {
      socket.write(`${post}Content-Length: 100\r\n\r\n{`, () => socket.destroy());
    });
    socket.on("close", () => resolve());
  });
  expect(await say("GET /health HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 /);
  expect(counted).toEqual(["OTHER none 400", "GET /health 200"]);
});

test.each([
  ["a handshake", `${upgrade}Sec-WebSocket-Version: 13\r\n${key}\r\n`],
  ["a request without a Host", "GET /health HTTP/1.1\r\n\r\n"],
  ["garbage", "\x00\x01garbage\r\n\r\n"],
])("%s behind a request that is still being answered gets nothing in between", async (_name, second) => {
  const body = '{"username":"alice","password":"password"}';
  const first = `${post}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  let letGo = (): void => {};
  answer = new Promise((resolve) => {
    letGo = resolve;
  });
  const before = asked;
  const said = say(first + second);
  await expect.poll(() => asked).toBe(before + 1);
  letGo();
  expect(await said).toBe("");
});
