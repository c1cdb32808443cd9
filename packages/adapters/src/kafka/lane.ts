// One lane: the records of one partition on their way, at most one `send` of kafkajs in flight, the next batch collected meanwhile.
//
// Acked records get lost or reordered by kafkajs when sends to one partition overlap, or when one send spans brokers; like this none did, in
// any fault that was tried.
import { setImmediate } from "node:timers/promises";
import type { ConnectError } from "@connectrpc/connect";
import type { Log } from "@im-gateway/core";
import { type Message, Partitioners, type Producer, type RecordMetadata } from "kafkajs";
import type { Client } from "./client.ts";
import { describeKafkaError, kindOf, sendFailure } from "./failure.ts";
import { pause } from "./wait.ts";

/** A record as kafkajs takes it. */
export interface OwnMessage extends Message {
  readonly key: Buffer;
  readonly value: Buffer | string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A record that waits for its answer. */
export interface Entry {
  readonly message: OwnMessage;
  /** What it takes of a request, at most. */
  readonly bytes: number;
  readonly deadlineMs: number;
  /** Resolves the caller's promise, or rejects it; the first call counts. */
  answer(error?: ConnectError): void;
  /** The lane holds it no longer. */
  release(): void;
}

export interface LaneOptions {
  readonly newClient: () => Client;
  readonly topic: string;
  readonly partition: number;
  /** Called when a batch was refused. */
  readonly onRefused: () => void;
  readonly now: () => number;
  readonly log: Log;
}

export interface Lane {
  push(entry: Entry): void;
  /** Answers what is past its deadline with `error`; says whether there was any. */
  expire(error: ConnectError): boolean;
  /** Answers all that has not been sent. */
  refuse(error: ConnectError): void;
  /** Since when nothing waits or is in flight; `undefined` while something is. */
  idleSinceMs(): number | undefined;
  /** To be called when no more is pushed. Lets go of the connection, at once or when the send in flight has settled. */
  close(): Promise<void>;
}

/** A producer of kafkajs and its client, which serves nothing else. */
interface Connection {
  readonly client: Client;
  readonly producer: Producer;
}

const maxBatchRecords = 500;
/** Below a broker's default `message.max.bytes` (1 MiB), which counts a whole batch. */
export const maxBatchBytes = 1_000_000;
const reconnectMs = 500;
const disconnectMs = 2000;

export function createLane({ newClient, topic, partition, onRefused, now, log }: LaneOptions): Lane {
  const waiting: Entry[] = [];
  let inFlight: readonly Entry[] = [];
  let connection: Connection | undefined;
  let pumping: Promise<void> | undefined;
  let idleSince = now();
  let batchBytes = maxBatchBytes;
  const fields = { topic, partition };

  function takeBatch(): readonly Entry[] {
    let bytes = 0;
    let count = 0;
    for (const entry of waiting) {
      bytes += entry.bytes;
      if (count > 0 && (count >= maxBatchRecords || bytes > batchBytes)) break;
      count += 1;
    }
    return waiting.splice(0, count);
  }

  async function pump(): Promise<void> {
    while (waiting.length > 0) {
      // What one turn of the event loop brings leaves together: a request costs as much as twenty records.
      await setImmediate();
      // Meanwhile all of it may have been refused.
      if (waiting.length === 0) break;
      if (connection !== undefined) {
        await sendBatch(connection, takeBatch());
        continue;
      }
      connection = await open();
      if (connection === undefined) await pause(reconnectMs);
    }
    idleSince = now();
    pumping = undefined;
  }

  async function open(): Promise<Connection | undefined> {
    const client = newClient();
    const producer = client.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      metadataMaxAge: 1500,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 60 },
    });
    try {
      await producer.connect();
    } catch (error) {
      log("warn", "no connection to produce to Kafka", { ...fields, ...describeKafkaError(error) });
      await client.end(producer.disconnect, disconnectMs);
      return undefined;
    }
    producer.on(producer.events.REQUEST_TIMEOUT, ({ payload }) => client.drop(payload.broker));
    return { client, producer };
  }

  async function sendBatch({ client, producer }: Connection, batch: readonly Entry[]): Promise<void> {
    inFlight = batch;
    try {
      const reply = await producer.send({ topic, acks: -1, messages: batch.map(({ message }) => message) });
      if (!reply.some((stored) => isStored(stored))) throw new Error("the reply does not name the partition");
      for (const entry of batch) entry.answer();
    } catch (error) {
      // An idempotent producer that failed once fails on: its sequence and the broker's have parted.
      connection = undefined;
      void client.end(producer.disconnect, disconnectMs);
      if (kindOf(error) === "MESSAGE_TOO_LARGE" && batch.length > 1) {
        // The topic takes less than brokers do by default.
        batchBytes = Math.ceil(batch.reduce((sum, { bytes }) => sum + bytes, 0) / 2);
        waiting.unshift(...batch);
        inFlight = [];
        return;
      }
      log("warn", "Kafka refused a batch", { ...fields, records: batch.length, ...describeKafkaError(error) });
      const reason = sendFailure(error);
      for (const entry of batch) entry.answer(reason);
      onRefused();
    }
    inFlight = [];
    for (const entry of batch) entry.release();
  }

  function isStored(reply: RecordMetadata): boolean {
    return reply.topicName === topic && reply.partition === partition && reply.errorCode === 0;
  }

  async function letGo(): Promise<void> {
    const old = connection;
    connection = undefined;
    await old?.client.end(old.producer.disconnect, disconnectMs);
  }

  function refuseFirst(count: number, error: ConnectError): void {
    for (const entry of waiting.splice(0, count)) {
      entry.answer(error);
      entry.release();
    }
  }

  return {
    push(entry) {
      waiting.push(entry);
      pumping ??= pump();
    },
    expire(error) {
      const nowMs = now();
      const late = inFlight.filter(({ deadlineMs }) => deadlineMs <= nowMs);
      for (const entry of late) entry.answer(error);
      // They all wait equally long, so the oldest are the first to be late.
      const inTime = waiting.findIndex(({ deadlineMs }) => deadlineMs > nowMs);
      const count = inTime === -1 ? waiting.length : inTime;
      refuseFirst(count, error);
      return late.length + count > 0;
    },
    refuse: (error) => refuseFirst(waiting.length, error),
    idleSinceMs: () => (pumping === undefined ? idleSince : undefined),
    async close() {
      if (pumping === undefined) await letGo();
      else void pumping.then(letGo);
    },
  };
}
