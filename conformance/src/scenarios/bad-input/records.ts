// Bad records on Kafka: each on the dead-letter topic as it came, counted, and the good one right behind it arrives.
import { randomUUID } from "node:crypto";
import { waitFor } from "@im-gateway/tools/process";
import { type Admin, ConfigResourceTypes, type Consumer, Kafka, logLevel, type Producer } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatSocket, connect, direct, register, type User } from "../../client.ts";
import { contentMark } from "../../output.ts";
import { changes, type Scrape, scrape } from "../../scrape.ts";
import type { RealWorld } from "../../worlds/real.ts";
import { startBystanders } from "./bystanders.ts";
import { expectNoInternals } from "./refusal.ts";

interface BadRecord {
  readonly value: Buffer | null;
  /** How `kafka_record_failures_total` and the dead letter's reason name it. */
  readonly reason: string;
  /** What people find in the reason's text. */
  readonly says?: string;
}

interface DeadLetter {
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Buffer | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** Names a case in the headers of its record. */
const caseHeader = "x-case";
const arriveMs = 20_000;

const malformed = { reason: "MALFORMED_JSON" } as const;

function invalid(field: string): Pick<BadRecord, "reason" | "says"> {
  return { reason: "INVALID_FIELD", says: field };
}

/** Bad on every topic. @param good fields of a good record, with a string called `text` that may be long */
function badEverywhere(good: Fields, text: string, integer: string): Readonly<Record<string, BadRecord>> {
  const raw = (replaced: string, json: string): Buffer =>
    Buffer.from(JSON.stringify({ ...good, [replaced]: "REPLACED" }).replace('"REPLACED"', json));
  return {
    "no JSON": { value: Buffer.from(`not JSON ${contentMark}`), ...malformed },
    "JSON that breaks off": { value: Buffer.from(JSON.stringify(good).slice(0, -1)), ...malformed },
    "no UTF-8": { value: Buffer.from([0xff, 0xfe, 0x00]), ...malformed },
    "no UTF-8 within JSON": { value: Buffer.from(`{"${integer}":"\xff"}`, "latin1"), ...malformed },
    "an empty value": { value: Buffer.alloc(0), ...malformed },
    "a tombstone": { value: null, reason: "EMPTY_RECORD" },
    "an array": { value: Buffer.from(JSON.stringify([good])), ...invalid("must be an object") },
    "a string": { value: Buffer.from(`"${contentMark}"`), ...invalid("must be an object") },
    "a duplicate key": { value: raw(text, `"a","${text}":"b"`), ...malformed },
    "a lone surrogate": { value: raw(text, '"\\ud800"'), ...malformed },
    "nesting over 100": { value: raw("more", "[".repeat(100) + "]".repeat(100)), ...malformed },
    "a text of the wrong type": { value: raw(text, "{}"), ...invalid(text) },
    "an integer of the wrong type": { value: raw(integer, '"many"'), ...invalid(integer) },
    "an integer past 2^53": { value: raw(integer, "9007199254740993"), ...invalid(integer) },
    "2 MB of words": { value: Buffer.alloc(2_000_000, "x"), reason: "RECORD_TOO_LARGE" },
    "2 MB that would be a record": { value: raw(text, `"${"x".repeat(2_000_000)}"`), reason: "RECORD_TOO_LARGE" },
  };
}

export function badRecordScenarios(world: () => RealWorld): void {
  const b = () => world().gateways[1];

  describe("bad records", () => {
    const bystanders = startBystanders(world);
    const buried = new Map<string, DeadLetter[]>();
    let producer: Producer;
    let consumer: Consumer;
    let admin: Admin;

    beforeAll(async () => {
      const kafka = new Kafka({ brokers: [...world().kafka.brokers], logLevel: logLevel.NOTHING });
      producer = kafka.producer();
      consumer = kafka.consumer({ groupId: randomUUID() });
      admin = kafka.admin();
      await Promise.all([producer.connect(), consumer.connect(), admin.connect()]);
      for (const topic of ["downstream-gateway-b", "upstream", "user-events"]) {
        await allowLargeRecords(admin, topic);
      }
      await consumer.subscribe({ topics: ["dead-letter"], fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ message }) => {
          const headers = Object.fromEntries(
            Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
          );
          const name = headers[caseHeader] ?? "";
          buried.set(name, [...(buried.get(name) ?? []), { headers, value: message.value }]);
        },
      });
    }, 30_000);
    afterAll(async () => {
      await Promise.all([producer.disconnect(), consumer.disconnect(), admin.disconnect()]);
    });

    const write = async (topic: string, key: string, name: string, value: Buffer | null): Promise<void> => {
      await producer.send({ topic, messages: [{ key, value, headers: { [caseHeader]: name } }] });
    };

    const expectBuried = async (
      topic: string,
      name: string,
      { value, reason, says = "" }: BadRecord,
    ): Promise<void> => {
      await waitFor(() => buried.has(name), { timeoutMs: arriveMs, what: `the dead letter of ${name}` });
      const letters = buried.get(name) ?? [];
      expect(letters).toHaveLength(1);
      const { headers, value: kept } = letters[0] ?? expect.unreachable("no dead letter");
      expect(headers).toEqual({
        [caseHeader]: name,
        "source-topic": topic,
        "source-partition": expect.stringMatching(/^\d+$/),
        "source-offset": expect.stringMatching(/^\d+$/),
        reason: expect.stringMatching(new RegExp(`^${reason}: .`)),
      });
      expect(headers.reason).toContain(says);
      expectNoInternals(String(headers.reason), [contentMark]);
      const whole = value ?? Buffer.alloc(0);
      expect(kept?.equals(reason === "RECORD_TOO_LARGE" ? whole.subarray(0, 1024) : whole)).toBe(true);
    };

    describe("on downstream-{gateway}", () => {
      const topic = "downstream-gateway-b";
      let user: User;
      let socket: ChatSocket;
      let before: Scrape;
      const good = (seqId: number): Fields => ({
        trace_id: "trace-123",
        target_user_id: "nobody",
        message_id: "msg123",
        conversation_id: "conv123",
        sender_id: "user123",
        message_type: 1,
        content: `good ${seqId}`,
        seq_id: seqId,
        timestamp: 1634567890,
        headers: {},
      });
      const record = (fields: Fields): Buffer => Buffer.from(JSON.stringify({ ...good(0), ...fields }));
      const cases: Readonly<Record<string, BadRecord>> = {
        ...badEverywhere(good(0), "content", "seq_id"),
        "no target": { value: record({ target_user_id: "" }), ...invalid("target") },
        "nothing at all": { value: Buffer.from("{}"), ...invalid("target") },
        "a target of the wrong type": { value: record({ target_user_ids: "u" }), ...invalid("target_user_ids") },
        "a bad one of many targets": {
          value: record({ target_user_ids: ["u", {}] }),
          ...invalid("target_user_ids[1]"),
        },
        "over 1,000 targets": {
          value: record({ target_user_ids: Array.from({ length: 1001 }, (_, n) => `u${n}`) }),
          ...invalid("target_user_ids"),
        },
        "an unknown type": { value: record({ type: "fly" }), reason: "UNKNOWN_FRAME_TYPE" },
        "a type that clients send": { value: record({ type: "send-message" }), reason: "UNKNOWN_FRAME_TYPE" },
        "a type of the wrong type": { value: record({ type: 7 }), ...invalid("type") },
        "a frame without its data": { value: record({ type: "message-read" }), ...invalid("data") },
        "data that is no object": { value: record({ type: "message-read", data: [] }), ...invalid("data") },
        "an unknown name of an enum": { value: record({ message_type: "FLY" }), ...invalid("message_type") },
      };
      /** Only whoever builds the frame sees these. */
      const forUser: Readonly<Record<string, Pick<BadRecord, "reason" | "says"> & { readonly fields: Fields }>> = {
        "data that does not fit the frame": {
          fields: { type: "message-read", data: { seq_id: [] } },
          ...invalid("seq_id"),
        },
        "data with an integer past 2^53": {
          fields: { type: "message-read", data: { seq_id: 2 ** 60 } },
          ...invalid("seq_id"),
        },
        "a time that no frame can say": { fields: { timestamp: 2 ** 53 }, reason: "INTEGER_TOO_LARGE" },
      };

      beforeAll(async () => {
        user = await register(b(), "target");
        socket = await connect(b(), user);
        before = await scrape(b().metrics);
        let seqId = 0;
        const all = [
          ...Object.entries(cases).map(([name, { value }]) => [name, value] as const),
          ...Object.entries(forUser).map(
            ([name, { fields }]) => [name, record({ ...fields, target_user_id: user.userId })] as const,
          ),
        ];
        for (const [name, value] of all) {
          await write(topic, "conv123", `downstream: ${name}`, value);
          seqId += 1;
          const next = Buffer.from(JSON.stringify({ ...good(seqId), target_user_id: user.userId }));
          await write(topic, "conv123", "good", next);
        }
      }, 60_000);
      afterAll(() => socket.close());

      test.each(Object.entries(cases))("%s", (name, bad) => expectBuried(topic, `downstream: ${name}`, bad));

      test.each(Object.entries(forUser))("%s", (name, { fields, ...bad }) => {
        const value = record({ ...fields, target_user_id: user.userId });
        return expectBuried(topic, `downstream: ${name}`, { value, ...bad });
      });

      test("the good record behind each has arrived, and nothing else", async () => {
        const count = Object.keys(cases).length + Object.keys(forUser).length;
        await socket.next("new-message", ({ data }) => data.seq_id === count);
        expect(socket.frames.slice(1).map(({ type, data }) => [type, data.seq_id])).toEqual(
          Array.from({ length: count }, (_, index) => ["new-message", index + 1]),
        );
        expect(socket.frames.at(-1)?.data).toEqual({
          message_id: "msg123",
          conversation_id: "conv123",
          sender_id: "user123",
          message_type: 1,
          content: `good ${count}`,
          seq_id: count,
          timestamp: 1634567890000,
          client_msg_id: "",
        });
        expect(buried.has("good")).toBe(false);
      });

      test("each is counted by its reason", async () => {
        const expected: Record<string, number> = {};
        for (const { reason } of [...Object.values(cases), ...Object.values(forUser)]) {
          const labels = `topic="downstream",reason="${reason}"`;
          expected[labels] = (expected[labels] ?? 0) + 1;
        }
        expect(changes("kafka_record_failures_total", before, await scrape(b().metrics))).toEqual(expected);
      });

      test("ids that are big JSON numbers keep every digit, and unknown fields do not matter", async () => {
        const text = JSON.stringify({ ...good(9), target_user_id: user.userId, fly: { high: true } })
          .replace('"msg123"', "12345678901234567890")
          .replace('"conv123"', "9007199254740993");
        await write(topic, "conv123", "good", Buffer.from(text));
        const { data } = await socket.next(
          "new-message",
          ({ data }) => data.content === "good 9" && data.message_id !== "msg123",
        );
        expect([data.message_id, data.conversation_id]).toEqual(["12345678901234567890", "9007199254740993"]);
      });
    });

    describe("on upstream and user-events", () => {
      const poisoned = async (): Promise<Scrape> => scrape(world().logicMetrics);
      let alice: User;
      let bob: User;
      let conversationId: string;
      let before: Scrape;
      const good = (): Fields => ({
        trace_id: "trace-123",
        user_id: alice.userId,
        gateway_id: "",
        conversation_id: conversationId,
        message_type: 1,
        content: "straight from Kafka",
        client_msg_id: randomUUID(),
        timestamp: 1634567890,
        headers: {},
      });
      const event: Fields = {
        event: "connected",
        user_id: "somebody",
        device_id: "d",
        connection_id: "c",
        gateway_id: "gateway-nowhere",
        gateway_epoch: 1,
        seq: 1,
        reason: "",
        timestamp: 1634567890,
      };
      const message: Fields = { user_id: "u", conversation_id: "c", content: "x", client_msg_id: "m", timestamp: 1 };
      const json = (fields: Fields): Buffer => Buffer.from(JSON.stringify(fields));
      const upstream: Readonly<Record<string, BadRecord>> = {
        ...badEverywhere(message, "content", "timestamp"),
        "nobody's": { value: json({ ...message, user_id: "" }), ...invalid("user_id") },
        "an unknown name of an enum": { value: json({ ...message, message_type: "FLY" }), ...invalid("message_type") },
        "headers of the wrong type": { value: json({ ...message, headers: { a: {} } }), ...invalid("headers.a") },
      };
      const events: Readonly<Record<string, BadRecord>> = {
        ...badEverywhere(event, "reason", "seq"),
        "an unknown event": { value: json({ ...event, event: "flown" }), ...invalid("event") },
        "no event": { value: json({ ...event, event: undefined }), ...invalid("event") },
        "no user": { value: json({ ...event, user_id: "" }), ...invalid("user_id") },
        "no gateway": { value: json({ ...event, gateway_id: "" }), ...invalid("gateway_id") },
        "no connection": { value: json({ ...event, connection_id: "" }), ...invalid("connection_id") },
      };

      beforeAll(async () => {
        [alice, bob] = [await register(b(), "alice"), await register(b(), "bob")];
        conversationId = await direct(b(), alice, bob);
        before = await poisoned();
        // Behind each other on the same partition, as their keys are the same.
        for (const [name, { value }] of Object.entries(upstream)) {
          await write("upstream", conversationId, `upstream: ${name}`, value);
        }
        for (const [name, { value }] of Object.entries(events)) {
          await write("user-events", bob.userId, `user-events: ${name}`, value);
        }
      }, 60_000);

      test.each(Object.entries(upstream))("upstream: %s", (name, bad) =>
        expectBuried("upstream", `upstream: ${name}`, bad),
      );
      test.each(Object.entries(events))("user-events: %s", (name, bad) =>
        expectBuried("user-events", `user-events: ${name}`, bad),
      );

      test("the good records behind them are taken: a connection is known, and a message reaches it", async () => {
        const socket = await connect(b(), bob);
        await write("upstream", conversationId, "good", json(good()));
        const { data } = await socket.next("new-message");
        expect(data).toMatchObject({ sender_id: alice.userId, content: "straight from Kafka", seq_id: 1 });
        await socket.close();
      });

      test("im-logic counts them", async () => {
        const count = Object.keys(upstream).length + Object.keys(events).length;
        expect(changes("poison_records_total", before, await poisoned())).toEqual({ "": count });
      });
    });

    bystanders.addTest();
  });
}

/** More than 2 MB, and else as the gateway makes its topics: what is not named here would be reset. */
async function allowLargeRecords(admin: Admin, name: string): Promise<void> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name, configNames: ["retention.ms", "compression.type"] }],
  });
  const kept = (resources[0]?.configEntries ?? []).map(({ configName, configValue }) => ({
    name: configName,
    value: configValue,
  }));
  const configEntries = [...kept, { name: "max.message.bytes", value: "4000000" }];
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries }],
  });
}
