// Records on their way to the gateways. Each is stored by Kafka, or else kept in the outbox and tried again: a gateway that is gone does not
// stop the others, and an absent Kafka loses nothing. What the outbox can not hold is gone, and everybody on that gateway is told to resync.
import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeRecord, type Log, type Producer, type ProducerRecord, reasonOf, traceIdOf } from "@im-gateway/core";
import { type DownstreamRecord, DownstreamRecordSchema } from "@im-gateway/proto";
import type { Counts } from "./counts.ts";
import type { Outbox, OutboxRecord } from "./outbox.ts";

/** A record for one gateway. */
export interface Outgoing {
  readonly gatewayId: string;
  readonly record: DownstreamRecord;
  /** Kafka headers: the trace. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Downstream {
  /** Resolves when every record is stored, by Kafka or in the outbox. Rejects only when the database fails. */
  publish(outgoing: readonly Outgoing[]): Promise<void>;
  /** The same, for a caller that does not wait. */
  push(outgoing: readonly Outgoing[]): void;
  /** The same, for what need not arrive: none of it is kept. @returns whether Kafka has stored all */
  offer(outgoing: readonly Outgoing[]): Promise<boolean>;
  /** Empties the outbox whenever it can, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface DownstreamOptions {
  readonly producer: Producer;
  /** A gateway's topic is this and its id. */
  readonly topicPrefix: string;
  readonly outbox: Outbox;
  /** Called when a gateway can be told anew what it must not miss: records for it had to go. */
  readonly onLoss: (gatewayId: string) => void;
  readonly log: Log;
  readonly counts: Counts;
}

const retryMs = 1000;
const retryBatch = 100;
/** A gateway that starts shows its key first and makes its topic then: what comes in between need worry nobody. */
export const longWaitMs = 10_000;

const resyncRecord = encodeRecord(
  DownstreamRecordSchema,
  create(DownstreamRecordSchema, {
    broadcast: true,
    type: "resync-required",
    data: { reason: "RECORDS_DROPPED", conversation_ids: [] },
  }),
);

export function createDownstream(options: DownstreamOptions): Downstream {
  const { producer, topicPrefix, outbox, onLoss, log, counts } = options;
  /** The topics of which it was said that their records wait long. */
  const waitLong = new Set<string>();

  /** @returns why the record must wait; undefined when it is done with: stored, or dropped since Kafka will never take it */
  async function send(record: ProducerRecord): Promise<ConnectError | undefined> {
    try {
      await producer.send(record);
      return undefined;
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      if (error.code !== Code.InvalidArgument) {
        return error;
      }
      counts.droppedRecords += 1;
      const { topic, key, headers = {} } = record;
      log("error", "Kafka will never take this record", {
        topic,
        key,
        trace_id: traceIdOf(headers.traceparent),
        error,
      });
      return undefined;
    }
  }

  function keep(records: readonly ProducerRecord[]): void {
    if (records.length > 0) {
      const dropped = outbox.add(records);
      noteDropped(dropped, "the outbox of a gateway is full");
    }
  }

  function noteDropped(dropped: number, message: string): void {
    if (dropped > 0) {
      counts.droppedRecords += dropped;
      log("warn", message, { dropped });
    }
  }

  function toRecord({ gatewayId, record, headers }: Outgoing): ProducerRecord {
    const value = encodeRecord(DownstreamRecordSchema, record);
    return { topic: topicPrefix + gatewayId, key: record.conversationId, value, headers };
  }

  /** The topics whose records have to wait behind others. */
  function waitingTopics(records: readonly ProducerRecord[]): ReadonlySet<string> {
    return new Set([...new Set(records.map(({ topic }) => topic))].filter(outbox.holds));
  }

  async function publish(outgoing: readonly Outgoing[]): Promise<void> {
    const records = outgoing.map(toRecord);
    const waiting = waitingTopics(records);
    keep(records.filter(({ topic }) => waiting.has(topic)));
    const direct = records.filter(({ topic }) => !waiting.has(topic));
    const errors = await Promise.all(direct.map(send));
    const failed = direct.filter((_, index) => errors[index] !== undefined);
    keep(failed);
    if (failed.length > 0) {
      const failedTopics = [...new Set(failed.map(({ topic }) => topic))];
      const what = { records: failed.length, topics: failedTopics };
      const error = errors.find((candidate) => candidate !== undefined && reasonOf(candidate) !== "TOPIC_NOT_FOUND");
      if (error === undefined) {
        log("info", "records wait for a gateway to make its topic", what);
      } else {
        log("warn", "records wait in the outbox", { ...what, error });
      }
    }
  }

  /** Once nothing waits any more: whoever fetches the history then finds there what was dropped. */
  function tellLosses(): void {
    for (const topic of outbox.losses().filter((lossy) => !outbox.holds(lossy))) {
      outbox.settleLoss(topic);
      keep([{ topic, key: "", value: resyncRecord }]);
      onLoss(topic.slice(topicPrefix.length));
    }
  }

  /** Tries one record first: most often the reason why they wait is still there. */
  async function drain(topic: string, signal: AbortSignal): Promise<void> {
    for (let limit = 1; !signal.aborted; limit = retryBatch) {
      const records = outbox.oldest(topic, limit);
      const errors = await Promise.all(records.map(send));
      const done = records.filter((_, index) => errors[index] === undefined);
      outbox.remove(done.map(({ outboxNo }) => outboxNo));
      if (records.length === 0 || done.length < records.length) {
        noteLongWait(records, errors);
        return;
      }
    }
  }

  /** Once a topic, until nothing waits for it any more. */
  function noteLongWait(records: readonly OutboxRecord[], errors: readonly (ConnectError | undefined)[]): void {
    const index = errors.findIndex((error) => error !== undefined);
    const record = records[index];
    if (record !== undefined && record.waitedMs > longWaitMs && !waitLong.has(record.topic)) {
      waitLong.add(record.topic);
      log("warn", "records have waited long in the outbox", { topic: record.topic, error: errors[index] });
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    const draining = new Map<string, Promise<void>>();
    while (!signal.aborted) {
      try {
        noteDropped(outbox.expire(), "records waited too long in the outbox");
        tellLosses();
        for (const topic of [...waitLong].filter((candidate) => !outbox.holds(candidate))) {
          waitLong.delete(topic);
        }
        for (const topic of outbox.topics().filter((candidate) => !draining.has(candidate))) {
          const drained = drain(topic, signal)
            .catch((error: unknown) => log("error", "the outbox failed", { topic, error }))
            .finally(() => draining.delete(topic));
          draining.set(topic, drained);
        }
      } catch (error) {
        log("error", "the outbox failed", { error });
      }
      // Rejects when the signal aborts, and then the loop ends.
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
    await Promise.all(draining.values());
  }

  return {
    publish,
    push(outgoing) {
      publish(outgoing).catch((error: unknown) => log("error", "a push was lost", { error }));
    },
    async offer(outgoing) {
      const records = outgoing.map(toRecord);
      const waiting = waitingTopics(records);
      const errors = await Promise.all(records.filter(({ topic }) => !waiting.has(topic)).map(send));
      return waiting.size === 0 && errors.every((error) => error === undefined);
    },
    run,
  };
}
