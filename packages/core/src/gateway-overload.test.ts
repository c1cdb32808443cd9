// What a gateway that has too much of something still does, and what it refuses.
import { expect, test } from "vitest";
import { as, record, start, token, typesOf } from "../test/start-gateway.ts";

const message = (clientMsgId: string): object => ({
  conversation_id: "c",
  message_type: 1,
  content: "x",
  client_msg_id: clientMsgId,
});

test("without memory: no socket, no request, no message; pings, deliveries, health and the internal port go on", async () => {
  let memory = 0;
  const { gateway, open, bus } = await start({ limits: { memoryBytes: 1000 }, memoryBytes: () => memory });
  const client = await open(await as("alice"));
  memory = 1001;
  const headers = { authorization: `Bearer ${await token("alice")}` };
  const ask = (path: string): Promise<Response> => gateway.fetch(new Request(`http://g${path}`, { headers }));
  await expect.poll(async () => (await ask("/api/v1/users/me")).status).toBe(503);
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
  await expect.poll(async () => (await ask("/api/v1/users/me")).status).toBe(200);
});

test("a socket that was upgraded just before is closed 1013", async () => {
  let memory = 0;
  const { gateway, open } = await start({ limits: { memoryBytes: 1000 }, memoryBytes: () => memory });
  await open(await as("alice"));
  const upgrade = await gateway.upgrade({ path: `/ws${await as("bob")}`, headers: new Headers() });
  if (!upgrade.accepted) {
    throw new Error("the upgrade was refused");
  }
  memory = 1001;
  const again = (): Promise<boolean> =>
    gateway.upgrade({ path: `/ws${upgrade.protocol ?? ""}`, headers: new Headers() }).then(({ accepted }) => accepted);
  await expect.poll(again).toBe(false);
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
