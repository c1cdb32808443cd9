// What only Node shows: each write that reaches the TCP connection. What holds on every runtime stands in conformance/src/server.test.ts.
import { randomUUID } from "node:crypto";
import { createServer, IncomingMessage, type Server } from "node:http";
import { Socket as TcpSocket } from "node:net";
import { Duplex } from "node:stream";
import type { Gateway } from "@im-gateway/core";
import type { MemoryBusClient } from "@im-gateway/core/memory";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startGateway, tokenOf } from "../test/start-gateway.ts";
import { serveSockets } from "./sockets.ts";

let bus: MemoryBusClient;
let gateway: Gateway;

beforeEach(async () => {
  ({ gateway, bus } = await startGateway());
});

afterEach(async () => {
  await gateway.drain(AbortSignal.timeout(5000));
});

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
  serveSockets({ server, gateway, path: "/ws", maxFrameBytes: 1000, log: () => undefined });
  const { tcp, writes } = recordingConnection();
  server.emit("upgrade", upgradeRequest(await tokenOf("alice")), tcp, Buffer.alloc(0));
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
