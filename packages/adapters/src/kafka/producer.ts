// Records to Kafka: each into the lane of its partition, answered when it is stored, refused or late.
import { Code, type ConnectError } from "@connectrpc/connect";
import { failure, type Log, type Producer, type ProducerRecord } from "@im-gateway/core";
import type { Client } from "./client.ts";
import { describeKafkaError, retryAfterMs, tooLarge, topicNotFound } from "./failure.ts";
import { createLane, type Entry, type Lane, maxBatchBytes, type OwnMessage } from "./lane.ts";
import { partitionOf } from "./partition.ts";
import type { Topics } from "./topics.ts";

export interface ProducerOptions {
  readonly newClient: () => Client;
  readonly topics: Topics;
  /** A record that is not stored by then is answered with `deadline_exceeded`. */
  readonly publishTimeoutMs: number;
  /** Of records that wait or are in flight: past either bound `send` rejects with `resource_exhausted`. */
  readonly maxQueuedRecords: number;
  readonly maxQueuedBytes: number;
  readonly now: () => number;
  readonly log: Log;
}

interface TopicState {
  readonly name: string;
  /** 0 while that is not known. */
  partitions: number;
  /** Records that wait for the partitions to be known. */
  readonly waiting: Entry[];
  readonly lanes: Map<number, Lane>;
  lookingUp: boolean;
  lookedUpMs: number;
}

/** How often late records are looked for, and topics looked up that records wait for. */
const sweepMs = 200;
/** How often a topic is looked up because a lane is in trouble. */
const doubtMs = 1000;
/** How old the number of partitions may be when nothing speaks against it. */
const maxPartitionsAgeMs = 300_000;
/** Below the 10 minutes after which brokers close an idle connection. */
const maxIdleMs = 300_000;
/** At most what a record needs beside key, value and headers, with its share of the batch's frame. */
const recordOverheadBytes = 150;
const headerOverheadBytes = 10;

export function createProducer(options: ProducerOptions): Producer {
  const { newClient, topics, publishTimeoutMs, maxQueuedRecords, maxQueuedBytes, now, log } = options;
  const states = new Map<string, TopicState>();
  const held = { records: 0, bytes: 0 };
  let unanswered = 0;
  let closing: Promise<void> | undefined;
  let onAllAnswered = (): void => {};
  let sweeping: NodeJS.Timeout | undefined;

  function send({ topic, key, value, headers = {} }: ProducerRecord): Promise<void> {
    if (closing !== undefined)
      return Promise.reject(
        failure(Code.Unavailable, "PRODUCER_CLOSED", "the service is shutting down", { retryAfterMs }),
      );
    const message = {
      key: Buffer.from(key),
      // kafkajs writes a text where it belongs, without a buffer of its own.
      value: typeof value === "string" ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength),
      headers: { ...headers },
    };
    const bytes = sizeOf(message);
    if (bytes > maxBatchBytes) return Promise.reject(tooLarge());
    if (held.records >= maxQueuedRecords || held.bytes + bytes > maxQueuedBytes) {
      const text = "too many messages wait to be stored";
      return Promise.reject(failure(Code.ResourceExhausted, "UPSTREAM_BUSY", text, { retryAfterMs }));
    }
    return new Promise((resolve, reject) => {
      const state = stateOf(topic);
      const entry = createEntry(message, bytes, resolve, reject);
      if (state.partitions > 0) {
        enqueue(state, entry);
        if (now() - state.lookedUpMs > maxPartitionsAgeMs) void lookUp(state);
      } else {
        state.waiting.push(entry);
        void lookUp(state);
      }
    });
  }

  function createEntry(
    message: OwnMessage,
    bytes: number,
    resolve: () => void,
    reject: (error: ConnectError) => void,
  ): Entry {
    let answered = false;
    held.records += 1;
    held.bytes += bytes;
    unanswered += 1;
    return {
      message,
      bytes,
      deadlineMs: now() + publishTimeoutMs,
      answer(error) {
        if (answered) return;
        answered = true;
        if (error === undefined) resolve();
        else reject(error);
        unanswered -= 1;
        if (unanswered === 0) onAllAnswered();
      },
      release() {
        held.records -= 1;
        held.bytes -= bytes;
      },
    };
  }

  function stateOf(name: string): TopicState {
    const known = states.get(name);
    if (known !== undefined) return known;
    const state: TopicState = {
      name,
      partitions: 0,
      waiting: [],
      lanes: new Map(),
      lookingUp: false,
      lookedUpMs: -Infinity,
    };
    states.set(name, state);
    sweeping ??= setInterval(sweep, sweepMs);
    return state;
  }

  function enqueue(state: TopicState, entry: Entry): void {
    const { name, partitions, lanes } = state;
    const partition = partitionOf(entry.message.key, partitions);
    entry.message.partition = partition;
    const lane =
      lanes.get(partition) ??
      createLane({ newClient, topic: name, partition, onRefused: () => void lookUp(state), now, log });
    lanes.set(partition, lane);
    lane.push(entry);
  }

  /** Learns the partitions. A look-up that fails is made again by the sweep while records wait. */
  async function lookUp(state: TopicState): Promise<void> {
    if (state.lookingUp || now() - state.lookedUpMs < (state.waiting.length > 0 ? sweepMs : doubtMs)) return;
    state.lookingUp = true;
    try {
      state.partitions = await topics.countPartitions(state.name);
      if (state.partitions === 0) refuse(state, topicNotFound());
      for (const entry of state.waiting.splice(0)) enqueue(state, entry);
    } catch (error) {
      const level = state.waiting.length > 0 ? "warn" : "debug";
      log(level, "the partitions of a topic cannot be looked up", { topic: state.name, ...describeKafkaError(error) });
    }
    state.lookingUp = false;
    state.lookedUpMs = now();
  }

  function refuse({ waiting, lanes }: TopicState, error: ConnectError): void {
    for (const entry of waiting.splice(0)) {
      entry.answer(error);
      entry.release();
    }
    for (const lane of lanes.values()) lane.refuse(error);
  }

  function sweep(): void {
    const nowMs = now();
    const late = failure(Code.DeadlineExceeded, "PUBLISH_TIMEOUT", "not stored in time, or not known to be", {
      retryAfterMs,
    });
    for (const state of states.values()) {
      const { waiting, lanes } = state;
      while (waiting[0] !== undefined && waiting[0].deadlineMs <= nowMs) {
        const entry = waiting.shift();
        entry?.answer(late);
        entry?.release();
      }
      if (waiting.length > 0) void lookUp(state);
      for (const [partition, lane] of lanes) {
        if (lane.expire(late)) void lookUp(state);
        const idleSinceMs = lane.idleSinceMs();
        if (idleSinceMs === undefined || nowMs - idleSinceMs < maxIdleMs) continue;
        lanes.delete(partition);
        void lane.close();
      }
      if (lanes.size === 0 && waiting.length === 0 && !state.lookingUp) states.delete(state.name);
    }
    if (states.size === 0) stopSweeping();
  }

  function stopSweeping(): void {
    clearInterval(sweeping);
    sweeping = undefined;
  }

  async function flush(): Promise<void> {
    if (unanswered > 0) {
      await new Promise<void>((resolve) => {
        onAllAnswered = resolve;
      });
    }
    stopSweeping();
    const lanes = [...states.values()].flatMap(({ lanes }) => [...lanes.values()]);
    states.clear();
    await Promise.all(lanes.map((lane) => lane.close()));
  }

  return { send, close: () => (closing ??= flush()) };
}

function sizeOf({ key, value, headers }: OwnMessage): number {
  let bytes = recordOverheadBytes + key.byteLength + Buffer.byteLength(value);
  for (const [name, text] of Object.entries(headers)) {
    bytes += headerOverheadBytes + Buffer.byteLength(name) + Buffer.byteLength(text);
  }
  return bytes;
}
