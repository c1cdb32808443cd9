// What both kinds of clients make of the frames of one connection, told by a gateway of a few lines.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { createClient } from "./clients.ts";
import { createFleet } from "./fleet/fleet.ts";
import { createInbox } from "./inbox.ts";
import { createLedger } from "./ledger.ts";

interface Gateway {
  readonly port: number;
  /** The next connection, when its `connected` was sent. */
  connection(): Promise<Connection>;
}

interface Connection {
  /** Resolves when the client has sent `resume`. */
  readonly resume: Promise<void>;
  say(type: string, data: unknown, messageId?: string): void;
  messages(...seqIds: readonly number[]): void;
  end(): void;
}

async function startGateway(): Promise<Gateway> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  let count = 0;
  return {
    port: (server.address() as AddressInfo).port,
    async connection() {
      const [socket] = (await once(server, "connection")) as [WebSocket];
      count += 1;
      const say = (type: string, data: unknown, messageId = ""): void =>
        socket.send(JSON.stringify({ type, message_id: messageId, data, timestamp: 0 }));
      const resume = new Promise<void>((resolve) => {
        socket.on("message", (text) => {
          if (JSON.parse(String(text)).type === "resume") resolve();
        });
      });
      say("connected", { connection_id: String(count) });
      return {
        resume,
        say,
        messages: (...seqIds) => {
          for (const seqId of seqIds) say("new-message", { conversation_id: "c", seq_id: seqId, content: `${seqId}` });
        },
        end: () => socket.terminate(),
      };
    },
  };
}

async function chat(): Promise<{ inbox: ReturnType<typeof createInbox>; gateway: Gateway; first: Connection }> {
  const gateway = await startGateway();
  const inbox = createInbox("r", ["c"]);
  const first = gateway.connection();
  const client = createClient({
    name: "r",
    token: "t",
    gateways: () => [`ws://127.0.0.1:${gateway.port}`],
    inbox,
    ledger: createLedger(),
    fetchMissed: async (_, its) => its.fill("c", [1, 2, 3, 4, 5]),
    backoff: { baseMs: 1, capMs: 1 },
  });
  onTestFinished(() => client.close());
  return { inbox, gateway, first: await first };
}

test("a chat's client: a resume in order, then one that is not", async () => {
  const { inbox, gateway, first } = await chat();
  first.messages(1);
  await expect.poll(() => inbox.has("c", 1)).toBe(true);
  let current = first;
  for (const [seqIds, outOfOrder] of [
    [[3, 2, 3], 0],
    [[5, 4], 1],
  ] as const) {
    const next = gateway.connection();
    current.end();
    current = await next;
    await current.resume;
    current.messages(...seqIds);
    current.say("resumed", { complete: true, count: 1 }, "resume");
    await expect.poll(() => inbox.has("c", Math.max(...seqIds))).toBe(true);
    expect(inbox.outOfOrder).toBe(outOfOrder);
  }
  expect(inbox.gaps).toEqual([]);
});

test("a chat's client: what resync-required named is no gap, and one behind it is", async () => {
  const { inbox, first } = await chat();
  first.messages(1);
  first.say("resync-required", { reason: "RECORDS_DROPPED", conversation_ids: ["c"] });
  first.messages(5, 6);
  await expect.poll(() => inbox.has("c", 6)).toBe(true);
  expect(inbox.gaps).toEqual([]);
  first.messages(8);
  await expect.poll(() => inbox.has("c", 8)).toBe(true);
  expect(inbox.gaps).toEqual(["c 8 after 6"]);
});

test("a fleet's client: a resume that is not in order, and a gap on a whole connection", async () => {
  const gateway = await startGateway();
  const connected = gateway.connection();
  const fleet = createFleet({ devices: [{ userId: "u", token: "t" }], targets: () => [gateway.port] });
  onTestFinished(() => fleet.stop());
  const started = fleet.start(5000);
  const connection = await connected;
  await connection.resume;
  connection.messages(3, 1, 2);
  connection.say("resumed", { complete: true, count: 3 }, "resume");
  await started;
  const [client] = fleet.clients;
  expect(client?.inbox).toMatchObject({ disordered: 1, gaps: 0 });
  connection.messages(4, 6);
  await expect.poll(() => client?.inbox.gaps).toBe(1);
  // Nobody answers the reading of the history here: all that comes falls into it.
  connection.say("resync-required", { reason: "RECORDS_DROPPED", conversation_ids: ["c"] });
  connection.messages(8, 9, 11);
  await expect.poll(() => client?.inbox.gaps).toBe(2);
});
