// Kafka's behaviour in one process and in memory: topics of partitions, groups with committed positions, delivery at least once.
import { Code } from "@connectrpc/connect";
import type {
  Consumer,
  ConsumerRecord,
  Gap,
  Log,
  Producer,
  ProducerRecord,
  RemoveTopic,
  Subscription,
  Topic,
} from "../adapters.ts";
import { failure } from "../errors.ts";
import { pause } from "../wait.ts";

export interface MemoryBusOptions {
  readonly log?: Log;
  /** What a partition holds at most. Default: 10,000. */
  readonly maxPartitionRecords?: number;
  /** Keys, values and headers of what a partition holds at most. Default: 16 MiB. */
  readonly maxPartitionBytes?: number;
}

export interface MemoryBus {
  /** A client with a producer of its own, as each part of the process (gateway, im-logic) needs one: it closes it when it stops. */
  connect(): MemoryBusClient;
}

export interface MemoryBusClient {
  readonly producer: Producer;
  readonly consumer: Consumer;
  /** Creates those that are missing. Rejects with `canceled` if the signal aborts first. */
  ensureTopics(topics: readonly Topic[], signal: AbortSignal): Promise<void>;
  readonly removeTopic: RemoveTopic;
}

const defaultMaxBatchRecords = 500;
/** As large as a Kafka broker takes one by default, less the frame around it. */
const maxRecordBytes = 1_000_000;
/** When to try again what could not be taken now. */
const retryAfterMs = 1000;
const minPauseMs = 100;
const maxPauseMs = 5000;
const encoder = new TextEncoder();

interface Stored {
  readonly record: ConsumerRecord;
  readonly bytes: number;
}

interface Partition {
  readonly topic: string;
  readonly index: number;
  /** What is kept, oldest first. */
  readonly kept: Stored[];
  /** Offset of the oldest that is kept, or of the next one. */
  firstOffset: number;
  bytes: number;
}

interface Batch {
  readonly partition: Partition;
  readonly records: readonly ConsumerRecord[];
  /** Offset after the last of them. */
  readonly end: number;
}

interface Group {
  /** Offset of the first record that is not committed, of every partition that the group ever subscribed to. */
  readonly positions: Map<Partition, number>;
  /** Being delivered from, by whichever member. */
  readonly busy: Set<Partition>;
  /** Of which records went that the group had not committed. */
  readonly gaps: Map<Partition, Gap["reason"]>;
  readonly members: Set<Subscription>;
}

/**
 * A bus that ends with the process. A record is kept until every group of its topic has committed it; past a partition's bound the oldest
 * goes, unless a running consumer still needs it: then `send` rejects with `resource_exhausted`. `Topic.retentionMs` plays no part.
 */
export function createMemoryBus(options: MemoryBusOptions = {}): MemoryBus {
  const { log, maxPartitionRecords = 10_000, maxPartitionBytes = 16 * 1024 * 1024 } = options;
  const topics = new Map<string, readonly Partition[]>();
  const groups = new Map<string, Group>();
  let change: { readonly happened: Promise<void>; readonly announce: () => void } | undefined;

  /** Resolves at the next `announceChange`. */
  function nextChange(): Promise<void> {
    if (change === undefined) {
      let announce = (): void => {};
      const happened = new Promise<void>((resolve) => {
        announce = resolve;
      });
      change = { happened, announce };
    }
    return change.happened;
  }

  function announceChange(): void {
    change?.announce();
    change = undefined;
  }

  function create(wanted: readonly Topic[]): void {
    for (const { name, partitions } of wanted) {
      if (topics.has(name)) continue;
      const empty = (_: unknown, index: number): Partition => ({
        topic: name,
        index,
        kept: [],
        firstOffset: 0,
        bytes: 0,
      });
      topics.set(name, Array.from({ length: partitions }, empty));
    }
  }

  function groupsOf(partition: Partition): Group[] {
    return [...groups.values()].filter(({ positions }) => positions.has(partition));
  }

  function dropOldest(partition: Partition, count: number): void {
    for (const { bytes } of partition.kept.splice(0, count)) partition.bytes -= bytes;
    partition.firstOffset += count;
    for (const { positions, gaps } of groupsOf(partition)) {
      const position = positions.get(partition) ?? 0;
      if (position >= partition.firstOffset) continue;
      positions.set(partition, partition.firstOffset);
      gaps.set(partition, "expired");
    }
  }

  function dropCommitted(partition: Partition): void {
    const positions = groupsOf(partition).map(({ positions }) => positions.get(partition) ?? 0);
    if (positions.length > 0) dropOldest(partition, Math.min(...positions) - partition.firstOffset);
  }

  /** False when a running consumer still needs what would have to go. */
  function makeRoom(partition: Partition, bytes: number): boolean {
    while (partition.kept.length >= maxPartitionRecords || partition.bytes + bytes > maxPartitionBytes) {
      const needed = groupsOf(partition).some(
        ({ members, positions }) => members.size > 0 && (positions.get(partition) ?? 0) <= partition.firstOffset,
      );
      if (needed || partition.kept.length === 0) return false;
      dropOldest(partition, 1);
    }
    return true;
  }

  function store({ topic, key, value, headers = {} }: ProducerRecord): void {
    const stored = typeof value === "string" ? encoder.encode(value) : value;
    const bytes = sizeOf(key, stored, headers);
    if (bytes > maxRecordBytes) throw failure(Code.InvalidArgument, "MESSAGE_TOO_LARGE", "the message is too large");
    const partitions = topics.get(topic) ?? [];
    const partition = partitions[hash(key) % partitions.length];
    if (partition === undefined)
      throw failure(Code.Unavailable, "TOPIC_NOT_FOUND", `there is no topic ${topic}`, { retryAfterMs });
    if (!makeRoom(partition, bytes)) {
      throw failure(Code.ResourceExhausted, "UPSTREAM_BUSY", "too much waits already", { retryAfterMs });
    }
    const offset = String(partition.firstOffset + partition.kept.length);
    partition.kept.push({ record: { topic, partition: partition.index, offset, key, value: stored, headers }, bytes });
    partition.bytes += bytes;
    announceChange();
  }

  function join(subscription: Subscription): Group {
    const { groupId } = subscription;
    const group = groups.get(groupId) ?? { positions: new Map(), busy: new Set(), gaps: new Map(), members: new Set() };
    groups.set(groupId, group);
    group.members.add(subscription);
    announceChange();
    return group;
  }

  /** What a member may take from, with the next position of the group in each; topics that are missing are created. */
  function partitionsOf({ topics: subscribed }: Subscription, { positions }: Group): Partition[] {
    create(subscribed);
    const partitions = subscribed.flatMap(({ name }) => topics.get(name) ?? []);
    for (const partition of partitions) {
      if (!positions.has(partition)) positions.set(partition, partition.firstOffset);
    }
    return partitions;
  }

  /** A topic that was removed: who had read in it has lost what came after. */
  function forget(partition: Partition): void {
    for (const { positions, gaps, members } of groupsOf(partition)) {
      positions.delete(partition);
      if (members.size > 0) gaps.set(partition, "recreated");
    }
  }

  function throwIfTaken(subscription: Subscription, { members }: Group): void {
    const epoch = subscription.epoch?.() ?? 0;
    if ([...members].some((other) => (other.epoch?.() ?? 0) > epoch)) {
      throw failure(Code.Aborted, "PARTITION_TAKEN", "a later life of this consumer has its partitions");
    }
  }

  /** The next records of a partition that no other member delivers from. */
  function take(
    { positions, busy }: Group,
    partitions: readonly Partition[],
    maxBatchRecords: number,
  ): Batch | undefined {
    for (const partition of partitions) {
      const from = (positions.get(partition) ?? 0) - partition.firstOffset;
      if (busy.has(partition) || from >= partition.kept.length) continue;
      const records = partition.kept.slice(from, from + maxBatchRecords).map(({ record }) => record);
      return { partition, records, end: partition.firstOffset + from + records.length };
    }
    return undefined;
  }

  async function run(subscription: Subscription): Promise<void> {
    const { alsoCreate = [], onReady, signal } = subscription;
    if (signal.aborted) return;
    create(alsoCreate);
    const group = join(subscription);
    signal.addEventListener("abort", announceChange, { once: true });
    onReady(true);
    try {
      await consume(subscription, group);
    } finally {
      group.members.delete(subscription);
      onReady(false);
    }
  }

  async function consume(subscription: Subscription, group: Group): Promise<void> {
    const { groupId, deliver, onLag, onGap, signal, maxBatchRecords = defaultMaxBatchRecords } = subscription;
    let pauseMs = minPauseMs;
    /** Every partition gets its turn: that of the last one comes after all others. */
    let last: Partition | undefined;
    while (!signal.aborted) {
      throwIfTaken(subscription, group);
      const partitions = partitionsOf(subscription, group);
      if (last !== undefined) partitions.push(...partitions.splice(0, partitions.indexOf(last) + 1));
      for (const [{ topic, index }, reason] of group.gaps) onGap?.({ topic, partition: index, reason });
      group.gaps.clear();
      const batch = take(group, partitions, maxBatchRecords);
      if (batch === undefined) {
        await nextChange();
        // As with Kafka, whoever sent has its answer before anybody has the record; and what one turn sends comes as one batch.
        await pause(0, signal);
        continue;
      }
      const { partition, records, end } = batch;
      last = partition;
      group.busy.add(partition);
      try {
        await deliver(records);
        if (group.positions.has(partition)) group.positions.set(partition, end);
        onLag?.(partition.firstOffset + partition.kept.length - end);
        dropCommitted(partition);
        pauseMs = minPauseMs;
        // A backlog must not keep the event loop from everything else.
        if (records.length === maxBatchRecords) await pause(0, signal);
      } catch (error) {
        const { topic, offset } = records[0] ?? {};
        log?.("warn", "records were not taken, they come again", {
          group: groupId,
          topic,
          partition: partition.index,
          offset,
          error: { code: error instanceof Error ? error.name : typeof error },
        });
        await pause(pauseMs, signal);
        pauseMs = Math.min(2 * pauseMs, maxPauseMs);
      }
      group.busy.delete(partition);
      announceChange();
    }
  }

  async function ensureTopics(wanted: readonly Topic[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw failure(Code.Canceled, "CANCELED", "stopped before the topics were there");
    create(wanted);
  }

  async function removeTopic(name: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw failure(Code.Canceled, "CANCELED", "stopped before the topic was gone");
    for (const partition of topics.get(name) ?? []) forget(partition);
    topics.delete(name);
    announceChange();
  }

  function createProducer(): Producer {
    let closed = false;
    return {
      async send(record) {
        if (closed)
          throw failure(Code.Unavailable, "PRODUCER_CLOSED", "the service is shutting down", { retryAfterMs });
        store(record);
      },
      async close() {
        closed = true;
      },
    };
  }

  return { connect: () => ({ producer: createProducer(), consumer: { run }, ensureTopics, removeTopic }) };
}

/** Keys of one string fall on one number, in every process and version (FNV-1a over UTF-16 code units). */
function hash(key: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) value = Math.imul(value ^ key.charCodeAt(index), 0x01000193);
  return value >>> 0;
}

function sizeOf(key: string, value: Uint8Array, headers: Readonly<Record<string, string>>): number {
  const headerLength = Object.entries(headers).reduce((sum, [name, text]) => sum + name.length + text.length, 0);
  return key.length + value.byteLength + headerLength;
}
