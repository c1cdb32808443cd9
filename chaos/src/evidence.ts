// The independent witnesses at a scenario's end: the log itself, im-logic's history, and the account over both.
import { randomUUID } from "node:crypto";
import { waitFor } from "@im-gateway/tools/process";
import { Kafka, logLevel } from "kafkajs";
import { type Accounted, accountFor, type LogRecord } from "./account.ts";
import type { Client } from "./clients.ts";
import type { Stored } from "./inbox.ts";
import type { Ledger } from "./ledger.ts";
import { historyOf, type User } from "./people.ts";

const readTimeoutMs = 60_000;

/** Every record of `upstream` from its beginning to where it ends now, partition by partition, each in its order. */
export async function readLog(brokers: readonly string[], topic = "upstream"): Promise<readonly LogRecord[]> {
  const kafka = new Kafka({ clientId: "chaos", brokers: [...brokers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const open = new Map(ends.filter(({ low, high }) => low !== high).map(({ partition, high }) => [partition, +high]));
  const partitions = new Map<number, LogRecord[]>();
  if (open.size === 0) return [];
  const consumer = kafka.consumer({ groupId: `chaos-${randomUUID()}` });
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      async eachBatch({ batch }) {
        const records = partitions.get(batch.partition) ?? [];
        partitions.set(batch.partition, records);
        const end = open.get(batch.partition) ?? 0;
        for (const { offset, key, value } of batch.messages) {
          if (+offset >= end) continue;
          const { client_msg_id } = JSON.parse(value?.toString() ?? "{}");
          records.push({ conversationId: key?.toString() ?? "", clientMsgId: String(client_msg_id) });
        }
        // Its last offset may belong to a marker of a transaction, which is no message.
        if (+batch.lastOffset() >= end - 1) open.delete(batch.partition);
      },
    });
    await waitFor(() => open.size === 0, { timeoutMs: readTimeoutMs, what: `the end of ${topic}` });
  } finally {
    await consumer.disconnect();
  }
  return [...partitions.values()].flat();
}

export interface SettleOptions {
  readonly brokers: readonly string[];
  /** `http://host:port` of a gateway that works. */
  readonly base: string;
  readonly ledger: Ledger;
  /** Every conversation, with a user who is in it. */
  readonly conversations: ReadonlyMap<string, User>;
  /** All that are to have everything in the end. */
  readonly clients: readonly Client[];
  /** How long acks, and then deliveries, may still take. Default 30 s. */
  readonly timeoutMs?: number;
}

/**
 * Sending has ended: waits for the acks that are still to come, then for what receivers lack, and accounts for all of it. What has not come
 * when time runs out is missing.
 */
export async function settle(options: SettleOptions): Promise<Accounted> {
  const { ledger, clients, timeoutMs = 30_000 } = options;
  const late: string[] = [];
  const inTime = async (condition: () => boolean | Promise<boolean>, what: string): Promise<void> => {
    try {
      await waitFor(condition, { timeoutMs, what, intervalMs: 100 });
    } catch {
      late.push(`${what}: not within ${timeoutMs} ms`);
    }
  };
  await inTime(() => ledger.pending === 0, "every message to be acked");
  const log = await readLog(options.brokers);
  const sent = new Set(log.map(({ clientMsgId }) => clientMsgId));
  let history: readonly Stored[] = [];
  await inTime(async () => {
    history = await wholeHistory(options);
    const stored = new Set(history.map(({ clientMsgId }) => clientMsgId));
    return [...sent].every((clientMsgId) => stored.has(clientMsgId));
  }, "im-logic to have stored the log");
  await inTime(
    () => clients.every(({ inbox }) => inbox.compare(history).missing.length === 0),
    "every receiver to have everything",
  );
  const accounted = accountFor({ ledger, log, history, inboxes: clients.map(({ inbox }) => inbox) });
  const complaints = clients.flatMap(({ name, complaints: some }) => some.map((one) => `${name}: ${one}`));
  return {
    ...accounted,
    failures: [
      ...accounted.failures,
      ...late,
      ...(complaints.length === 0 ? [] : [`${complaints.length} errors to clients, the first ${complaints[0]}`]),
    ],
  };
}

async function wholeHistory({ base, conversations }: SettleOptions): Promise<readonly Stored[]> {
  const all: Stored[] = [];
  for (const [conversationId, { token }] of conversations) all.push(...(await historyOf(base, token, conversationId)));
  return all;
}
