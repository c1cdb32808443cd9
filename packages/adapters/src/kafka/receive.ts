// One life of a kafkajs consumer: from connecting to the abort of the signal, or to the error that kafkajs gives up on.
import type { ConsumerRecord, Log, Subscription } from "@im-gateway/core";
import type { EachBatchPayload, IHeaders, Kafka, KafkaMessage } from "kafkajs";
import { describeError, describeKafkaError } from "./failure.ts";
import { aborted, pause, within } from "./wait.ts";

export interface ReceiveOptions {
  readonly subscription: Subscription;
  /** Of this consumer alone. */
  readonly client: Kafka;
  /** Repeats itself. */
  readonly setReady: (ready: boolean) => void;
  readonly now: () => number;
  readonly log: Log;
}

/** What `deliver` gets at most, and so what comes again at most after a failure. */
const maxBatchRecords = 500;
const watchMs = 500;
/** Fetches are answered every 200 ms: so long without an answer means that the broker is away. */
const maxFetchSilenceMs = 3000;
/** While `deliver` works only heartbeats are answered, every 3 s. */
const maxHeartbeatSilenceMs = 10_000;
/** kafkajs gives up by itself long before; a consumer that hangs is replaced. */
const maxSilenceMs = 60_000;
/** Kafka may be away: what it then holds up goes on unheard. */
const maxStopMs = 10_000;
const minPauseMs = 100;
const maxPauseMs = 5000;

/** Resolves when the signal has aborted, the batch in hand is committed and the group is left. Rejects with what kafkajs gave up on. */
export async function receive({ subscription, client, setReady, now, log }: ReceiveOptions): Promise<void> {
  const { groupId, topics, deliver, signal } = subscription;
  const consumer = client.consumer({
    groupId,
    sessionTimeout: 30_000,
    heartbeatInterval: 3000,
    rebalanceTimeout: 1000,
    maxWaitTimeInMs: 200,
    allowAutoTopicCreation: false,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 30, restartOnFailure: async () => false },
  });
  const crash = new AbortController();
  const end = AbortSignal.any([signal, crash.signal]);
  let joined = false;
  let answeredMs = now();
  let beat: EachBatchPayload["heartbeat"] | undefined;
  let beatError: unknown;
  let batchInHand: Promise<unknown> = Promise.resolve();

  consumer.on(consumer.events.GROUP_JOIN, () => {
    joined = true;
  });
  consumer.on(consumer.events.REQUEST, ({ payload }) => {
    answeredMs = now();
    if (joined && payload.apiName === "Fetch" && !end.aborted) setReady(true);
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => crash.abort(payload.error));

  function watch(): void {
    beat?.().catch((error: unknown) => {
      beatError = error;
    });
    const silentMs = now() - answeredMs;
    if (silentMs > (beat === undefined ? maxFetchSilenceMs : maxHeartbeatSilenceMs)) setReady(false);
    if (silentMs > maxSilenceMs && beat === undefined) crash.abort(new Error("Kafka has been silent for too long"));
  }

  async function takeBatch({
    batch,
    heartbeat,
    resolveOffset,
    commitOffsetsIfNecessary,
  }: EachBatchPayload): Promise<void> {
    const { topic, partition, messages } = batch;
    for (let start = 0; start < messages.length; start += maxBatchRecords) {
      const part = messages.slice(start, start + maxBatchRecords);
      const lastOffset = part.at(-1)?.offset;
      if (lastOffset === undefined) return;
      beatError = undefined;
      beat = heartbeat;
      try {
        if (!(await deliverUntilTaken(part.map((message) => toRecord(topic, partition, message))))) return;
      } finally {
        beat = undefined;
      }
      // Not the consumer's own `commitOffsets`: that one does nothing once the consumer is told to stop.
      const offset = String(BigInt(lastOffset) + 1n);
      await commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset }] }] });
      resolveOffset(lastOffset);
      await heartbeat();
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
        log("warn", "records were not taken, they come again", {
          group: groupId,
          topic,
          partition,
          offset,
          ...describeError(error),
        });
        await pause(pauseMs, end);
        if (beatError !== undefined) throw beatError;
      }
    }
    return false;
  }

  async function start(): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topics: topics.map(({ name }) => name), fromBeginning: true });
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

  async function stop(started: Promise<void>): Promise<void> {
    // Before `run` has settled kafkajs would not stop what it is about to start.
    await Promise.allSettled([started]);
    try {
      await consumer.disconnect();
    } catch (error) {
      log("debug", "a Kafka consumer did not stop well", { group: groupId, ...describeKafkaError(error) });
    }
  }

  const watching = setInterval(watch, watchMs);
  const started = start();
  started.catch((error: unknown) => crash.abort(error));
  await aborted(end);
  setReady(false);
  const stopped = stop(started);
  await batchInHand;
  await within(stopped, maxStopMs);
  clearInterval(watching);
  if (!signal.aborted) throw crash.signal.reason;
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
