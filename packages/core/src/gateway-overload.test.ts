// What a gateway that has too much of something still does, and what it refuses.
import { describe, expect, test } from "vitest";
import { as, record, start, token, typesOf } from "../test/start-gateway.ts";

const message = (clientMsgId: string): object => ({
  conversation_id: "c",
  message_type: 1,
  content: "x",
  client_msg_id: clientMsgId,
});

test("without memory: no socket, no request, no message; pings, deliveries, health and the internal port go on", async () => {
  let memory = 0;
  const { gateway, open, bus } = await start({ memoryUse: () => memory });
  const client = await open(await as("alice"));
  memory = 1;
  const headers = { authorization: `Bearer ${await token("alice")}` };
  const ask = (path: string): Promise<Response> => gateway.fetch(new Request(`http://g${path}`, { headers }));
  await expect.poll(async () => (await ask("/api/v1/users/me")).status, { timeout: 5000 }).toBe(503);
  const refused = await ask("/api/v1/users/me");
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await refused.json()).toMatchObject({ code: "unavailable", details: [{ reason: "OVERLOADED" }, {}] });
  const upgrade = await gateway.upgrade({ path: `/ws?token=${await token("bob")}`, headers: new Headers() });
  expect(upgrade.accepted ? 101 : upgrade.response.status).toBe(503);
  client.send("send-message", message("1"));
  client.send("mark-read", { conversation_id: "c", seq_id: 1 }, "m2");
  client.send("ping", {}, "m3");
  await bus.producer.send(record({ target_user_id: "alice", content: "hello" }));
  await expect.poll(() => typesOf(client).length).toBe(5);
  expect(typesOf(client).sort()).toEqual(["connected", "error", "error", "new-message", "pong"]);
  for (const { data } of client.frames.filter(({ type }) => type === "error")) {
    expect(data).toMatchObject({ code: "unavailable", reason: "OVERLOADED", retry_after_ms: expect.any(Number) });
  }
  expect((await gateway.fetch(new Request("http://g/health"))).status).toBe(200);
  const connections = await gateway.internal(new Request("http://g/internal/v1/connections"));
  expect(connections.status).toBe(200);
  memory = 0;
  await expect.poll(async () => (await ask("/api/v1/users/me")).status, { timeout: 5000 }).toBe(200);
});

test("a socket that was upgraded just before is closed 1013", async () => {
  let memory = 0;
  const { gateway, open } = await start({ memoryUse: () => memory });
  await open(await as("alice"));
  const upgrade = await gateway.upgrade({ path: `/ws${await as("bob")}`, headers: new Headers() });
  if (!upgrade.accepted) {
    throw new Error("the upgrade was refused");
  }
  memory = 1;
  const again = (): Promise<boolean> =>
    gateway.upgrade({ path: `/ws${upgrade.protocol ?? ""}`, headers: new Headers() }).then(({ accepted }) => accepted);
  await expect.poll(again, { timeout: 5000 }).toBe(false);
  const closes: number[] = [];
  gateway.open({ bufferedBytes: 0, write: () => 0, ping: () => {}, close: (code) => void closes.push(code) }, upgrade);
  expect(closes).toEqual([1013]);
});

test("more messages than it takes in a second are refused by both doors, and stored when they come again", async () => {
  const { gateway, open, upstream } = await start({ limits: { messagesPerSecond: 4 } });
  const client = await open(await as("alice"));
  for (const id of ["1", "2", "3"]) {
    client.send("send-message", message(id), id);
  }
  await expect.poll(() => typesOf(client)).toEqual(["connected", "error", "message-ack", "message-ack"]);
  expect(client.frames.find(({ type }) => type === "error")).toMatchObject({
    message_id: "3",
    data: { code: "resource_exhausted", reason: "RATE_LIMITED", client_msg_id: "3" },
  });
  const body = JSON.stringify(message("4"));
  const headers = { authorization: `Bearer ${await token("alice")}`, "content-type": "application/json" };
  const post = (): Promise<Response> =>
    gateway.fetch(new Request("http://g/api/v1/messages", { method: "POST", headers, body }));
  const refused = await post();
  expect([refused.status, Number(refused.headers.get("retry-after")) > 0]).toEqual([429, true]);
  await expect.poll(async () => (await post()).status, { timeout: 3000, interval: 300 }).toBe(202);
  await expect.poll(() => upstream.length).toBe(3);
  expect(gateway.counters.refused.get("messages")).toBeGreaterThanOrEqual(2);
});

test("of sockets that are upgraded at once those beyond the most are closed 1013, and were never there", async () => {
  const { gateway, open, userEvents } = await start({ limits: { maxConnections: 1 } });
  const queries = await Promise.all([as("alice"), as("bob")]);
  const sockets = await Promise.all(queries.map(open));
  // Whose token was verified first is in.
  expect(sockets.map(({ closes }) => closes).sort()).toEqual([[], [1013]]);
  for (const { events, closes } of sockets) {
    events.closed(closes[0] ?? 1000, "");
  }
  expect(gateway.connections).toBe(0);
  await open(await as("carol"));
  await expect
    .poll(() => userEvents.filter(({ event }) => event === "connected").map((event) => event.user_id))
    .toEqual([expect.stringMatching(/alice|bob/), "carol"]);
});

test("too many upgrades are refused before their token is looked at, each with a hint of its own", async () => {
  const { gateway } = await start({ limits: { acceptRate: 1 } });
  const bad = (): ReturnType<typeof gateway.upgrade> =>
    gateway.upgrade({ path: "/ws?token=bad", headers: new Headers() });
  const answers = await Promise.all(Array.from({ length: 100 }, bad));
  const refused = answers.flatMap((answer) => (answer.accepted ? [] : [answer.response]));
  expect(refused.map(({ status }) => status)).toEqual([401, 401, ...Array(98).fill(503)]);
  const hints = new Set(refused.slice(2).map(({ headers }) => Number(headers.get("retry-after"))));
  expect([...hints].sort()).toEqual([2, 3, 4, 5]);
});

describe("past the bytes that may wait for all slow readers", () => {
  const limits = { bufferedBytes: 1000 };

  test("the fullest are closed 4008 until it is well under; the others stay", async () => {
    const { gateway, open } = await start({ limits });
    const sockets = await Promise.all(
      [400, 100, 300, 0, 250].map(async (buffered, n) => Object.assign(await open(await as(`u${n}`)), { buffered })),
    );
    await expect.poll(() => sockets.map(({ closes }) => closes), { timeout: 5000 }).toEqual([[4008], [], [], [], []]);
    expect([gateway.bufferedBytes, ...gateway.counters.refused]).toEqual([650, ["buffered_bytes", 1]]);
  });

  test("deliveries wait at twice of it, while what was closed is not gone", async () => {
    const { open, bus, logged } = await start({ limits });
    const reader = await open(await as("alice"));
    const slow = Object.assign(await open(await as("bob")), { buffered: 2001 });
    await expect.poll(() => logged, { timeout: 5000 }).toContain("warn deliveries wait until closed sockets are gone");
    expect(slow.closes).toEqual([4008]);
    await bus.producer.send(record({ target_user_id: "alice" }));
    // A turn, so that it would have come.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(typesOf(reader)).toEqual(["connected"]);
    slow.events.closed(4008, "");
    await expect.poll(() => typesOf(reader), { timeout: 5000 }).toEqual(["connected", "new-message"]);
  });
});
