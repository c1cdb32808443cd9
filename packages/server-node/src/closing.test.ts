// Peers that begin to close and then do not go: they are nobody's any more at once, and gone soon.
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { Gateway } from "@im-gateway/core";
import type { MemoryBusClient } from "@im-gateway/core/memory";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startGateway, tokenOf } from "../test/start-gateway.ts";
import { type GatewayServer, serveGateway } from "./index.ts";

let bus: MemoryBusClient;
let gateway: Gateway;
let server: GatewayServer;

beforeEach(async () => {
  ({ gateway, bus } = await startGateway({ sendBufferBytes: 64 * 1024 * 1024 }));
  server = await serveGateway({ gateway, host: "127.0.0.1", port: 0, log: () => undefined });
});
afterEach(() => gateway.drain(AbortSignal.timeout(5000), () => server.close(AbortSignal.timeout(1000))));

interface Peer {
  readonly tcp: Socket;
  received(): string;
}

async function open(userId: string): Promise<Peer> {
  const token = await tokenOf(userId);
  const tcp = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
  let text = "";
  tcp.on("data", (bytes) => {
    text += bytes.toString("latin1");
  });
  // The gateway drops it in the end.
  tcp.on("error", () => undefined);
  tcp.write(
    [
      `GET /ws?token=${token} HTTP/1.1`,
      "Host: x",
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      "\r\n",
    ].join("\r\n"),
  );
  await expect.poll(() => text).toContain('"connected"');
  return { tcp, received: () => text };
}

const push = (userId: string, content: string): Promise<void> =>
  bus.producer.send({
    topic: "downstream-one",
    key: "c",
    value: JSON.stringify({ target_user_id: userId, conversation_id: "c", content }),
  });

/** Until more waits for the peer, which reads nothing, than its kernel and ours take. */
async function fill(userId: string): Promise<void> {
  const data = { conversation_id: "c", content: "x".repeat(500_000) };
  const body = JSON.stringify({ user_ids: [userId], frame: { type: "new-message", data } });
  const headers = { "content-type": "application/json" };
  while (gateway.bufferedBytes < 1_000_000) {
    const pushed = new Request("http://gateway/internal/v1/push", { method: "POST", headers, body });
    expect((await gateway.internal(pushed)).status).toBe(200);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A close frame of a client with 1001, masked with zeros. */
const closeFrame = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]);

test.each<[string, number, (tcp: Socket) => unknown]>([
  ["a close frame, and stays", 1001, (tcp) => tcp.write(closeFrame)],
  ["a close frame, and reads nothing", 1001, (tcp) => tcp.pause() && fill("alice").then(() => tcp.write(closeFrame))],
  ["FIN, and reads nothing", 1006, (tcp) => tcp.pause() && fill("alice").then(() => tcp.end())],
])("of one that sends %s: what comes then is kept for the next, and it is gone soon", async (_what, code, begins) => {
  const first = await open("alice");
  await begins(first.tcp);
  await expect.poll(() => gateway.connections).toBe(0);
  await push("alice", "after it");
  await expect.poll(() => gateway.counters.deliveriesKept).toBe(1);
  const next = await open("alice");
  await expect.poll(next.received).toContain("after it");
  await expect.poll(() => [...gateway.counters.connectionsClosed], { timeout: 5000 }).toEqual([[code, 1]]);
  expect(first.received()).not.toContain("after it");
  next.tcp.destroy();
  first.tcp.destroy();
});
