// Records that Kafka did not take, kept in the database until it does.
import type { ProducerRecord } from "@im-gateway/core";
import * as v from "valibot";
import { bytes, integer, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface OutboxRecord extends ProducerRecord {
  readonly outboxNo: number;
  /** Since it came here. */
  readonly waitedMs: number;
}

export interface Outbox {
  /** The topics that have records waiting here. */
  topics(): string[];
  /** Something of this topic waits: what comes now must wait behind it. */
  holds(topic: string): boolean;
  /** At most `maxRecordsPerTopic` wait for a topic. @returns how many of the oldest had to go for that */
  add(records: readonly ProducerRecord[]): number;
  oldest(topic: string, limit: number): OutboxRecord[];
  remove(outboxNos: readonly number[]): void;
  /** Removes what has waited longer than `maxAgeMs`. @returns how many those were */
  expire(): number;
  /** The topics of which records had to go since `settleLoss`: who reads there does not know yet. */
  losses(): string[];
  settleLoss(topic: string): void;
}

/** As long as a gateway's own topic keeps its records (CONTRACT §5): who comes later than that asks for the history anyway. */
export const maxAgeMs: number = 60 * 60 * 1000;
export const maxRecordsPerTopic = 10_000;

const headersSchema = v.record(v.string(), v.string());

export function createOutbox(store: Store, now: () => number): Outbox {
  const distinct = store.prepare("SELECT DISTINCT topic FROM outbox");
  const first = store.prepare("SELECT outbox_no FROM outbox WHERE topic = ? LIMIT 1");
  const insert = store.prepare("INSERT INTO outbox (topic, key, value, headers, created_at_ms) VALUES (?, ?, ?, ?, ?)");
  const trim = store.prepare(
    `DELETE FROM outbox WHERE topic = ?1 AND outbox_no <=
       (SELECT outbox_no FROM outbox WHERE topic = ?1 ORDER BY outbox_no DESC LIMIT 1 OFFSET ?2)`,
  );
  const select = store.prepare("SELECT * FROM outbox WHERE topic = ? ORDER BY outbox_no LIMIT ?");
  const removeOne = store.prepare("DELETE FROM outbox WHERE outbox_no = ?");
  const old = store.prepare("SELECT DISTINCT topic FROM outbox WHERE created_at_ms < ?");
  const removeOld = store.prepare("DELETE FROM outbox WHERE created_at_ms < ?");
  const loss = store.prepare("INSERT INTO outbox_losses (topic) VALUES (?) ON CONFLICT DO NOTHING");
  const lossTopics = store.prepare("SELECT topic FROM outbox_losses");
  const removeLoss = store.prepare("DELETE FROM outbox_losses WHERE topic = ?");

  return {
    topics: () => distinct.all().map((row) => text(row, "topic")),
    holds: (topic) => first.get(topic) !== undefined,
    add: (records) =>
      store.transaction(() => {
        for (const { topic, key, value, headers = {} } of records) {
          insert.run(topic, key, Buffer.from(value), JSON.stringify(headers), now());
        }
        let dropped = 0;
        for (const topic of new Set(records.map((record) => record.topic))) {
          const trimmed = Number(trim.run(topic, maxRecordsPerTopic).changes);
          if (trimmed > 0) {
            loss.run(topic);
          }
          dropped += trimmed;
        }
        return dropped;
      }),
    oldest: (topic, limit) => select.all(topic, limit).map((row) => toOutboxRecord(row, now())),
    remove: (outboxNos) =>
      store.transaction(() => {
        for (const outboxNo of outboxNos) {
          removeOne.run(outboxNo);
        }
      }),
    expire: () =>
      store.transaction(() => {
        const before = now() - maxAgeMs;
        for (const row of old.all(before)) {
          loss.run(text(row, "topic"));
        }
        return Number(removeOld.run(before).changes);
      }),
    losses: () => lossTopics.all().map((row) => text(row, "topic")),
    settleLoss: (topic) => void removeLoss.run(topic),
  };
}

function toOutboxRecord(row: Row, nowMs: number): OutboxRecord {
  return {
    outboxNo: integer(row, "outbox_no"),
    waitedMs: nowMs - integer(row, "created_at_ms"),
    topic: text(row, "topic"),
    key: text(row, "key"),
    value: bytes(row, "value"),
    headers: v.parse(headersSchema, JSON.parse(text(row, "headers"))),
  };
}
