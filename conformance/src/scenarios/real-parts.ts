// What other programs see on Kafka and in etcd, and what clients see while a part is away.
import { randomUUID } from "node:crypto";
import { waitFor } from "@im-gateway/tools/process";
import { type Consumer, Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asRecord, asRecords, connect, direct, password, register, rest } from "../client.ts";
import { fitsAsyncapi } from "../documents.ts";
import { contentMark } from "../output.ts";
import { launch } from "../worlds/program.ts";
import type { RealWorld } from "../worlds/real.ts";
import { accountedLines } from "./logs.ts";

interface Seen {
  readonly topic: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Readonly<Record<string, unknown>>;
}

/** CONTRACT: a send fails with a retryable error within 5 s. */
const sendDeadlineMs = 5000;
const retryable = ["unavailable", "deadline_exceeded", "resource_exhausted"];

export function realPartScenarios(world: () => RealWorld): void {
  const [a, b] = [() => world().gateways[0], () => world().gateways[1]];

  describe("other programs", () => {
    const seen: Seen[] = [];
    let consumer: Consumer | undefined;
    const kafka = (): Kafka => new Kafka({ brokers: [...world().kafka.brokers], logLevel: logLevel.NOTHING });

    beforeAll(async () => {
      consumer = kafka().consumer({ groupId: randomUUID() });
      await consumer.connect();
      await consumer.subscribe({
        topics: ["upstream", "user-events", "downstream-gateway-b"],
        fromBeginning: true,
      });
      await consumer.run({
        eachMessage: async ({ topic, message }) => {
          const text = message.value?.toString().replaceAll(contentMark, "") ?? "";
          const headers = Object.fromEntries(
            Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
          );
          seen.push({ topic, key: message.key?.toString() ?? "", headers, value: asRecord(JSON.parse(text)) });
        },
      });
    });
    afterAll(async () => {
      await consumer?.disconnect();
    });
    const record = (topic: string, fits: (value: Seen["value"]) => boolean): Promise<Seen> =>
      waitFor(() => seen.find((one) => one.topic === topic && fits(one.value)), {
        timeoutMs: 15_000,
        what: `a record on ${topic}`,
      });

    test("the upstream record has the contract's shape and key", async () => {
      const [alice, bob] = [await register(a(), "alice"), await register(b(), "bob")];
      const conversationId = await direct(a(), alice, bob);
      const socket = await connect(a(), alice);
      const clientMsgId = await socket.say(conversationId, "for the record");
      const ack = await socket.next("message-ack");
      const { key, headers, value } = await record("upstream", (one) => one.client_msg_id === clientMsgId);
      expect(key).toBe(conversationId);
      expect(value).toEqual({
        trace_id: ack.data.trace_id,
        user_id: alice.userId,
        gateway_id: "gateway-a",
        conversation_id: conversationId,
        message_type: 1,
        content: "for the record",
        client_msg_id: clientMsgId,
        timestamp: expect.any(Number),
        headers: {},
        device_id: socket.connected.device_id,
        connection_id: socket.connected.connection_id,
        gateway_epoch: expect.any(Number),
      });
      expect(Math.abs(Number(value.timestamp) - Date.now() / 1000)).toBeLessThan(60);
      expect(headers.traceparent).toContain(String(ack.data.trace_id));
      await socket.close();
    });

    test("user-events say who came and who went", async () => {
      const user = await register(a(), "visitor");
      const socket = await connect(a(), user);
      const { connection_id, device_id } = socket.connected;
      await socket.close();
      const came = await record(
        "user-events",
        (one) => one.event === "connected" && one.connection_id === connection_id,
      );
      const went = await record(
        "user-events",
        (one) => one.event === "disconnected" && one.connection_id === connection_id,
      );
      expect(came.key).toBe(user.userId);
      expect(came.value).toEqual({
        event: "connected",
        user_id: user.userId,
        device_id,
        connection_id,
        gateway_id: "gateway-a",
        gateway_epoch: expect.any(Number),
        seq: expect.any(Number),
        reason: "",
        timestamp: expect.any(Number),
      });
      expect(Number(went.value.seq)).toBeGreaterThan(Number(came.value.seq));
    });

    test("a message to many users of one gateway is one downstream record", async () => {
      const owner = await register(a(), "owner");
      const members = [await register(b(), "m1"), await register(b(), "m2"), await register(b(), "m3")];
      const group = await rest(a(), "POST", "/groups", {
        token: owner.accessToken,
        body: { name: "many", member_ids: members.map(({ userId }) => userId) },
      });
      const conversationId = String(group.body.group_id);
      const sockets = await Promise.all(members.map((member) => connect(b(), member)));
      const sender = await connect(a(), owner);
      // Once everybody has the first message, im-logic knows all three connections.
      await sender.say(conversationId, "first");
      await Promise.all(sockets.map((socket) => socket.next("new-message", ({ data }) => data.content === "first")));
      await sender.say(conversationId, "second");
      await Promise.all(sockets.map((socket) => socket.next("new-message", ({ data }) => data.content === "second")));
      await record("downstream-gateway-b", ({ content }) => content === "second");
      const records = seen.filter(
        ({ topic, value }) =>
          topic === "downstream-gateway-b" && value.conversation_id === conversationId && value.content === "second",
      );
      expect(records).toHaveLength(1);
      expect([...asStrings(records[0]?.value.target_user_ids)].sort()).toEqual(
        members.map(({ userId }) => userId).sort(),
      );
      await Promise.all([sender, ...sockets].map((socket) => socket.close()));
    });

    test.each([
      ["upstream", "UpstreamRecord", "content", "second"],
      ["downstream-gateway-b", "DownstreamRecord", "content", "second"],
      ["user-events", "UserEvent", "event", "disconnected"],
    ])("a record of %s is as /asyncapi.json has it", async (topic, name, field, is) => {
      const { value } = await record(topic, (one) => one[field] === is);
      fitsAsyncapi(`/components/messages/${name}/payload`, value);
    });

    test("a flood of poison is a few lines in the log, which count all of it", async () => {
      const records = 1000;
      const topics = ["downstream-gateway-a", "upstream", "user-events"];
      const traceId = randomUUID().replaceAll("-", "");
      const producer = kafka().producer();
      await producer.connect();
      for (const topic of topics) {
        const value = `{"content":"${contentMark}`;
        const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-00` };
        await producer.send({
          topic,
          messages: Array.from({ length: records }, () => ({ key: "one", value, headers })),
        });
      }
      await producer.disconnect();
      for (const [message, events] of [
        ["downstream record skipped", records],
        ["record skipped", 2 * records],
      ] as const) {
        const lines = await accountedLines((line) => line.message === message && line.trace_id === traceId, events);
        expect(lines.length).toBeLessThanOrEqual(22);
        expect(lines[0]).toMatchObject({
          level: "warn",
          error: { code: "invalid_argument", reason: "MALFORMED_JSON" },
        });
      }
    }, 60_000);

    test("im-logic counts what it stored", async () => {
      const stored = async (): Promise<number> => {
        const text = await (await fetch(world().logicMetrics)).text();
        return Number(/^im_logic_stored_messages_total (\d+)$/m.exec(text)?.[1]);
      };
      const [alice, bob] = [await register(a(), "alice"), await register(b(), "bob")];
      const conversationId = await direct(a(), alice, bob);
      const socket = await connect(a(), alice);
      const before = await stored();
      await socket.say(conversationId, "one more");
      await socket.next("message-stored");
      expect((await stored()) - before).toBe(1);
      await socket.close();
    });

    test("gateways and im-logic are in etcd, as the contract writes them", async () => {
      for (const [name, id] of [
        ["im-gateway", "gateway-a"],
        ["im-gateway", "gateway-b"],
        ["im-logic", undefined],
      ] as const) {
        const found = await services(world().etcd.endpoints[0] ?? "", name);
        const instance = found.find((one) => id === undefined || one.id === id);
        expect(instance).toEqual({
          id: id ?? expect.stringMatching(/^im-logic-/),
          name,
          address: "127.0.0.1",
          port: expect.any(Number),
          metadata: expect.objectContaining({ instance: expect.stringMatching(/./) }),
        });
      }
    });

    test("a second gateway of the same id ends with 1 and names the first", async () => {
      const second = launch("second", world().command, [
        ...world().settings,
        "gateway_id=gateway-a",
        "server.http_addr=127.0.0.1:0",
        "grpc.logic.service_name=im-logic",
      ]);
      expect((await second.exited).code).toBe(1);
      expect(second.output.join("\n")).toContain(new URL(a().http).port);
    });
  });

  describe("a part is away", () => {
    test("Kafka frozen: sends fail with a retryable error in time, sockets stay, and the same message can be sent after", async () => {
      const [alice, bob] = [await register(a(), "alice"), await register(b(), "bob")];
      const conversationId = await direct(a(), alice, bob);
      const [sender, receiver] = [await connect(a(), alice), await connect(b(), bob)];
      const message = {
        conversation_id: conversationId,
        message_type: 1,
        content: "stubborn",
        client_msg_id: randomUUID(),
      };
      world().kafka.freeze();
      try {
        const startedMs = performance.now();
        const failed = sender.send("send-message", message);
        const byRest = rest(a(), "POST", "/messages", {
          token: alice.accessToken,
          body: { ...message, client_msg_id: randomUUID(), content: "also stubborn" },
        });
        const error = await sender.next("error", ({ message_id }) => message_id === failed);
        expect(performance.now() - startedMs).toBeLessThan(sendDeadlineMs);
        expect(retryable).toContain(error.data.code);
        expect(error.data.client_msg_id).toBe(message.client_msg_id);
        expect([429, 503, 504]).toContain((await byRest).status);
        expect(performance.now() - startedMs).toBeLessThan(sendDeadlineMs);
        expect((await rest(a(), "GET", "/users/me", { token: alice.accessToken })).status).toBe(200);
      } finally {
        world().kafka.thaw();
      }
      await waitFor(
        async () => {
          const id = sender.send("send-message", message);
          const answer = await Promise.race([
            sender.next("message-ack", ({ message_id }) => message_id === id),
            sender.next("error", ({ message_id }) => message_id === id),
          ]);
          return answer.type === "message-ack";
        },
        { timeoutMs: 30_000, what: "an ack after the thaw" },
      );
      await receiver.next("new-message", ({ data }) => data.content === "stubborn");
      const path = `/conversations/${conversationId}/messages`;
      const history = await rest(b(), "GET", path, { token: bob.accessToken });
      const contents = asRecords(history.body.messages).map(({ content }) => content);
      expect(contents.filter((content) => content === "stubborn")).toHaveLength(1);
      expect(sender.frames.filter(({ type }) => type === "connected")).toHaveLength(1);
      await Promise.all([sender.close(), receiver.close()]);
    }, 60_000);

    test("im-logic away: calls fail at once, messages wait in Kafka, sockets stay", async () => {
      const [alice, bob] = [await register(a(), "alice"), await register(b(), "bob")];
      const conversationId = await direct(a(), alice, bob);
      const [sender, receiver] = [await connect(a(), alice), await connect(b(), bob)];
      await sender.say(conversationId, "before");
      await receiver.next("new-message");
      await world().logic.kill();
      const startedMs = performance.now();
      const failed = await rest(a(), "GET", "/users/me", { token: alice.accessToken });
      expect(failed).toMatchObject({ status: 503, body: { code: "unavailable" } });
      const body = { username: alice.username, password };
      expect((await rest(a(), "POST", "/auth/login", { body })).status).toBe(503);
      const call = sender.send("mark-read", { conversation_id: conversationId, seq_id: 1 });
      const error = await sender.next("error", ({ message_id }) => message_id === call);
      expect(error.data.code).toBe("unavailable");
      expect(performance.now() - startedMs).toBeLessThan(sendDeadlineMs);
      const ready = await fetch(`${a().http}/ready`);
      expect(ready.status).toBe(503);
      expect(await ready.text()).toContain("im-logic: no connection to 127.0.0.1:");
      await sender.say(conversationId, "meanwhile");
      await world().logic.start();
      await receiver.next("new-message", ({ data }) => data.content === "meanwhile");
      await waitFor(async () => (await rest(a(), "GET", "/users/me", { token: alice.accessToken })).status === 200, {
        timeoutMs: 15_000,
        what: "calls to im-logic to work again",
      });
      await Promise.all([sender.close(), receiver.close()]);
    }, 60_000);
  });
}

/** Through etcd's own HTTP gateway, so that no client of ours is between. */
async function services(endpoint: string, name: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const prefix = `/services/${name}/`;
  const response = await fetch(`http://${endpoint}/v3/kv/range`, {
    method: "POST",
    body: JSON.stringify({ key: btoa(prefix), range_end: btoa(`/services/${name}0`) }),
  });
  const { kvs } = asRecord(await response.json());
  return asRecords(kvs ?? []).map(({ value }) => asRecord(JSON.parse(atob(String(value)))));
}

function asStrings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
