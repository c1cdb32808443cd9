import { randomUUID } from "node:crypto";
import { createServer, IncomingMessage, type Server } from "node:http";
import { connect, Socket as TcpSocket } from "node:net";
import { Duplex } from "node:stream";
import { createRouterTransport } from "@connectrpc/connect";
import type { GatewayServer } from "@im-gateway/adapters/command";
import { createGateway, type Gateway } from "@im-gateway/core";
import { createMemoryBus, createMemoryRegistry, type MemoryBusClient } from "@im-gateway/core/memory";
import { SignJWT } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { serveGateway } from "./server.ts";
import { serveSockets } from "./sockets.ts";

const secret = "a secret for this test only";
const log = (): void => undefined;
let bus: MemoryBusClient;
let gateway: Gateway;
let listening: GatewayServer;

beforeEach(async () => {
  const memory = createMemoryBus();
  bus = memory.connect();
  const { producer, consumer } = memory.connect();
  gateway = createGateway({
    gatewayId: "one",
    version: "0",
    producer,
    consumer,
    registry: createMemoryRegistry(),
    transport: createRouterTransport(() => {}),
    log,
    jwt: { secret },
    defer: setImmediate,
    maxBodyBytes: 1000,
  });
  listening = await serveGateway({ gateway, host: "127.0.0.1", port: 0, log, maxFrameBytes: 1000 });
  await gateway.start({ address: listening.host, port: listening.port }, new AbortController().signal);
});

afterEach(async () => {
  const deadline = AbortSignal.timeout(5000);
  const closed = listening.close(deadline);
  await gateway.drain(deadline);
  await closed;
});

function token(userId: string): Promise<string> {
  return new SignJWT({ did: "d" })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt" })
    .setSubject(userId)
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secret));
}

async function push(userId: string, count: number): Promise<void> {
  const value = (n: number): Uint8Array =>
    Buffer.from(JSON.stringify({ target_user_id: userId, conversation_id: "c", seq_id: n, content: `message ${n}` }));
  await Promise.all(
    Array.from({ length: count }, (_, n) => bus.producer.send({ topic: "downstream-one", key: "c", value: value(n) })),
  );
}

/** A TCP connection that notes each write that reaches it: what would be a system call. */
function recordingConnection(): { readonly tcp: Duplex; readonly writes: Buffer[] } {
  const writes: Buffer[] = [];
  const tcp = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      writes.push(chunk);
      done();
    },
    writev(chunks, done) {
      writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk)));
      done();
    },
  });
  // ws sets these on the connection that it takes over.
  return { tcp: Object.assign(tcp, { setTimeout: () => tcp, setNoDelay: () => tcp }), writes };
}

function upgradeRequest(userToken: string): IncomingMessage {
  const request = new IncomingMessage(new TcpSocket());
  request.method = "GET";
  request.url = `/ws?token=${userToken}`;
  const headers = {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": Buffer.from(randomUUID().slice(0, 16)).toString("base64"),
  };
  Object.assign(request.headers, headers);
  request.rawHeaders = Object.entries(headers).flat();
  return request;
}

test("all frames of a batch leave in one write", async () => {
  const server: Server = createServer();
  serveSockets({ server, gateway, path: "/ws", maxFrameBytes: 1000, log });
  const { tcp, writes } = recordingConnection();
  server.emit("upgrade", upgradeRequest(await token("alice")), tcp, Buffer.alloc(0));
  await expect.poll(() => Buffer.concat(writes).toString()).toContain('"connected"');
  const before = writes.length;
  await push("alice", 100);
  await expect.poll(() => Buffer.concat(writes).toString()).toContain("message 99");
  const text = Buffer.concat(writes.slice(before)).toString();
  expect(text.match(/"new-message"/g)).toHaveLength(100);
  // The bus may cut the hundred into a few batches; without gathering there would be a hundred writes or more.
  expect(writes.length - before).toBeLessThanOrEqual(5);
  tcp.destroy();
});

test("frames arrive whole and in order, also while the reader pauses", async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${listening.port}/ws?token=${await token("bob")}`);
  const seqIds: unknown[] = [];
  socket.on("message", (data) => {
    const frame: { type: string; data: { seq_id?: number } } = JSON.parse(data.toString());
    if (frame.type === "connected") {
      socket.pause();
    } else {
      seqIds.push(frame.data.seq_id);
    }
  });
  await expect.poll(() => socket.isPaused).toBe(true);
  await push("bob", 1000);
  socket.resume();
  await expect.poll(() => seqIds.length).toBe(1000);
  expect(seqIds).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  socket.terminate();
});

test("a peer that does not answer the close is dropped", async () => {
  const tcp = connect(listening.port, "127.0.0.1");
  const received: Buffer[] = [];
  tcp.on("data", (chunk) => received.push(chunk));
  const ended = new Promise<void>((resolve) => tcp.on("close", () => resolve()));
  tcp.write(
    [
      `GET /ws?token=${await token("carol")} HTTP/1.1`,
      "host: x",
      "connection: Upgrade",
      "upgrade: websocket",
      "sec-websocket-version: 13",
      "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
      "",
      "",
    ].join("\r\n"),
  );
  await expect.poll(() => Buffer.concat(received).toString()).toContain('"connected"');
  // A binary frame, masked with zeros, gets 1003; nothing answers it from here.
  tcp.write(Buffer.from([0x82, 0x80, 0, 0, 0, 0]));
  await ended;
  expect(Buffer.concat(received).includes(Buffer.from([0x03, 0xeb]))).toBe(true);
});

test("a refused upgrade leaves no connection, whatever the peer still sends", async () => {
  const tcp = connect(listening.port, "127.0.0.1");
  let answer = "";
  tcp.on("data", (chunk) => {
    answer += chunk.toString();
  });
  const closed = new Promise<void>((resolve) => tcp.on("close", () => resolve()));
  tcp.on("error", () => undefined);
  tcp.write(
    "GET /ws?token=bad HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await expect.poll(() => answer).toContain("401");
  tcp.write("{}".repeat(1000));
  await closed;
});

test("a request that offers another upgrade is answered as if it had not", async () => {
  const tcp = connect(listening.port, "127.0.0.1");
  let answer = "";
  tcp.on("data", (chunk) => {
    answer += chunk.toString();
  });
  const body = "{}";
  tcp.write(
    `POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await expect.poll(() => answer).toContain('"field":"username"');
  tcp.destroy();
});

test.each([
  ["a .. segment, as it came", "GET /api/v1/users/../users/me HTTP/1.1\r\nhost: x\r\n\r\n", 400, "DOT_SEGMENT"],
  ["an encoded . segment", "GET /api/v1/%2e/users/me HTTP/1.1\r\nhost: x\r\n\r\n", 400, "DOT_SEGMENT"],
  ["a slash in an id, encoded", "GET /api/v1/users/a%2Fb HTTP/1.1\r\nhost: x\r\n\r\n", 401, "TOKEN_MISSING"],
  [
    "a body that is announced too large",
    "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n",
    413,
    "BODY_TOO_LARGE",
  ],
  [
    "a body that grows too large",
    `POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n${"x".repeat(1001)}\r\n0\r\n\r\n`,
    413,
    "BODY_TOO_LARGE",
  ],
  ["/ws without an upgrade", "GET /ws HTTP/1.1\r\nhost: x\r\n\r\n", 404, "NO_ROUTE"],
])("%s", async (_name, request, status, reason) => {
  const tcp = connect(listening.port, "127.0.0.1");
  let answer = "";
  tcp.on("data", (chunk) => {
    answer += chunk.toString();
  });
  tcp.write(request);
  await expect.poll(() => answer).toContain("trace_id");
  expect(answer).toContain(`HTTP/1.1 ${status} `);
  expect(answer).toContain(`"reason":"${reason}"`);
  tcp.destroy();
});
