// One life of a kafkajs consumer: from connecting to the abort of the signal, or to its loss.
import { ConnectError } from "@connectrpc/connect";
import type { ConsumerRecord, Log, Subscription } from "@im-gateway/core";
import type { EachBatchPayload, IHeaders, KafkaMessage } from "kafkajs";
import type { Client } from "./client.ts";
import { createEpochAssigner } from "./epoch-assigner.ts";
import { describeError, describeKafkaError } from "./failure.ts";
import { type Positions, partitionTaken } from "./position.ts";
import { createPulse } from "./pulse.ts";
import type { Topics } from "./topics.ts";
import { aborted, pause, untilAborted } from "./wait.ts";

export interface ReceiveOptions {
  readonly subscription: Subscription;
  /** Rises with each life of the subscription. */
  readonly attempt: number;
  readonly topics: Topics;
  readonly positions: Positions;
  /** Of this consumer alone. */
  readonly client: Client;
  /** Repeats itself. */
  readonly setReady: (ready: boolean) => void;
  readonly now: () => number;
  readonly log: Log;
}

const defaultMaxBatchRecords = 500;
/** Of one fetch: what a backlog is taken in. kafkajs's own 1 MiB is some 3,000 messages. */
const maxFetchBytes = 4 * 1024 * 1024;
const watchMs = 500;
const checkMs = 5000;
/** Kafka may be away: what it then holds up is broken off. */
const maxStopMs = 10_000;
const minPauseMs = 100;
const maxPauseMs = 5000;

/**
 * Resolves when the signal has aborted, the batch in hand is committed and the group is left. Rejects when kafkajs gave up, or we on it, and
 * with PARTITION_TAKEN.
 */
export async function receive(options: ReceiveOptions): Promise<void> {
  const { subscription, attempt, topics, positions, client, setReady, now, log } = options;
  const { groupId, maxBatchRecords = defaultMaxBatchRecords, deliver, onLag, signal, epoch } = subscription;
  const consumer = client.kafka.consumer({
    groupId,
    sessionTimeout: 30_000,
    // A member that is gone holds the next one up for as long; one that is there must hear within it, at a heartbeat, that it has to join anew.
    rebalanceTimeout: 1000,
    heartbeatInterval: 300,
    maxWaitTimeInMs: 200,
    maxBytesPerPartition: maxFetchBytes,
    allowAutoTopicCreation: false,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 30, restartOnFailure: async () => false },
    ...(epoch === undefined ? {} : { partitionAssigners: [createEpochAssigner(() => ({ epoch: epoch(), attempt }))] }),
  });
  const loss = new AbortController();
  const end = AbortSignal.any([signal, loss.signal]);
  const pulse = createPulse(consumer, now, () => {
    if (!end.aborted) setReady(true);
  });
  let heartbeat = async (): Promise<void> => {};
  let heartbeatError: unknown;
  let batchInHand: Promise<unknown> = Promise.resolve();

  let assigned: Readonly<Record<string, readonly number[]>> = {};
  let verified: Promise<void> = Promise.resolve();
  let mending = false;
  let checking = false;
  let checkedMs = now();

  consumer.on(consumer.events.CRASH, ({ payload }) => loss.abort(payload.error));
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    assigned = payload.memberAssignment;
    if (epoch !== undefined && Object.keys(assigned).length === 0) loss.abort(partitionTaken());
    else verify();
  });
  // kafkajs asks for it only when a position is missing or not in the log any more.
  consumer.on(consumer.events.REQUEST, ({ payload }) => {
    if (payload.apiName === "ListOffsets") verify();
  });

  /** Nothing is delivered before it is done. */
  function verify(): void {
    verified = verified.then(async () => {
      while (!end.aborted) {
        try {
          await positions.verify(assigned, consumer.commitOffsets);
          return;
        } catch (error) {
          if (error instanceof ConnectError) loss.abort(error);
          log("debug", "the position in Kafka is not known yet", { group: groupId, ...describeKafkaError(error) });
          await pause(minPauseMs, end);
        }
      }
    });
  }

  /** Topics that only this side writes to may have gone; one that was recreated and has grown past the position shows nowhere else. */
  async function check(): Promise<void> {
    checking = true;
    try {
      await ensureOthers();
      await verified;
      if (!end.aborted && !(await positions.verify(assigned, consumer.commitOffsets))) {
        loss.abort(new Error("the topic is another one, or records are missing"));
      }
    } catch (error) {
      if (error instanceof ConnectError) loss.abort(error);
      log("debug", "the position in Kafka could not be checked", { group: groupId, ...describeKafkaError(error) });
    } finally {
      checking = false;
    }
  }

  /** What can not be made keeps nothing from being received. */
  async function ensureOthers(): Promise<void> {
    try {
      await topics.ensure(subscription.alsoCreate ?? [], end);
    } catch (error) {
      const fields = { topics: subscription.alsoCreate?.map(({ name }) => name), ...describeError(error) };
      log(end.aborted ? "debug" : "warn", "topics that are written to can not be made", fields);
    }
  }

  /** A missing topic is made anew; kafkajs then finds it by itself. */
  async function mend(): Promise<void> {
    mending = true;
    try {
      await topics.ensure(subscription.topics, end);
    } catch (error) {
      loss.abort(error);
    } finally {
      mending = false;
    }
  }

  function watch(): void {
    // kafkajs sends one only when it is due.
    heartbeat().catch((error: unknown) => {
      heartbeatError = error;
    });
    if (!pulse.isReceiving()) setReady(false);
    if (pulse.isStuck() && !mending && !end.aborted) void mend();
    if (pulse.isReceiving() && !checking && now() - checkedMs > checkMs) {
      checkedMs = now();
      void check();
    }
    const lost = pulse.loss();
    if (lost !== undefined) loss.abort(new Error(lost));
  }

  async function takeBatch(payload: EachBatchPayload): Promise<void> {
    const { topic, partition, messages, highWatermark } = payload.batch;
    const [first] = messages;
    await untilAborted(verified, end);
    if (first !== undefined && !positions.follows(topic, partition, first.offset)) {
      verify();
      await untilAborted(verified, end);
    }
    for (let start = 0; start < messages.length; start += maxBatchRecords) {
      const part = messages.slice(start, start + maxBatchRecords);
      const lastOffset = part.at(-1)?.offset;
      if (lastOffset === undefined) return;
      heartbeatError = undefined;
      heartbeat = payload.heartbeat;
      pulse.setBusy(true);
      try {
        if (!(await deliverUntilTaken(part.map((message) => toRecord(topic, partition, message))))) return;
      } finally {
        heartbeat = async () => {};
        pulse.setBusy(false);
      }
      onLag?.(Math.max(0, Number(highWatermark) - Number(lastOffset) - 1));
      // Not the consumer's own `commitOffsets`: that one does nothing once the consumer is told to stop.
      const offset = String(BigInt(lastOffset) + 1n);
      positions.delivered(topic, partition, offset);
      // Before the commit: if that fails, the next one makes up for it, and the records need not come again.
      payload.resolveOffset(lastOffset);
      const position = { partition, offset, metadata: positions.metadata() };
      try {
        await payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions: [position] }] });
        positions.committed(topic, partition, offset);
        pulse.setCommitted(true);
      } catch (error) {
        pulse.setCommitted(false);
        throw error;
      }
      await payload.heartbeat();
    }
  }

  /** False when the end came first. Rejects when the group does not know this member any more: the records come again after it has joined. */
  async function deliverUntilTaken(records: readonly ConsumerRecord[]): Promise<boolean> {
    for (let pauseMs = minPauseMs; !end.aborted; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      try {
        await deliver(records);
        return true;
      } catch (error) {
        const { topic, partition, offset } = records[0] ?? {};
        const fields = { group: groupId, topic, partition, offset, ...describeError(error) };
        log("warn", "records were not taken, they come again", fields);
        await pause(pauseMs, end);
        if (heartbeatError !== undefined) throw heartbeatError;
      }
    }
    return false;
  }

  async function start(): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topics: subscription.topics.map(({ name }) => name), fromBeginning: true });
    if (end.aborted) return;
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch(payload) {
        const taken = takeBatch(payload);
        batchInHand = Promise.allSettled([taken]);
        return taken;
      },
    });
  }

  const watching = setInterval(watch, watchMs);
  const started = start();
  started.catch((error: unknown) => loss.abort(error));
  await aborted(end);
  setReady(false);
  const ended = client.end(async () => {
    // Before `run` has settled kafkajs would not stop what it is about to start.
    await Promise.allSettled([started]);
    await consumer.disconnect();
  }, maxStopMs);
  await batchInHand;
  clearInterval(watching);
  // What is lost may take its time: nothing is delivered from it any more.
  if (!signal.aborted) throw loss.signal.reason;
  await ended;
}

function toRecord(topic: string, partition: number, { offset, key, value, headers }: KafkaMessage): ConsumerRecord {
  return { topic, partition, offset, key: key === null ? null : key.toString(), value, headers: toStrings(headers) };
}

function toStrings(headers: IHeaders = {}): Record<string, string> {
  const strings: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    // Kafka allows a name more than once: the last one counts.
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) strings[name] = last.toString();
  }
  return strings;
}
