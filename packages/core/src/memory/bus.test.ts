// What the memory bus does beyond the suite that it shares with Kafka: bounds, and several members in a group.
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, it, vi } from "vitest";
import type { ConsumerRecord } from "../adapters.ts";
import { createMemoryBus, type MemoryBusClient, type MemoryBusOptions } from "./bus.ts";

async function connect(options: MemoryBusOptions = {}, partitions = 1): Promise<MemoryBusClient> {
  const client = createMemoryBus(options).connect();
  await client.ensureTopics([{ name: "topic", partitions }], new AbortController().signal);
  return client;
}

function send({ producer }: MemoryBusClient, text: string, key = "key"): Promise<void> {
  return producer.send({ topic: "topic", key, value: new TextEncoder().encode(text) });
}

function subscribe(
  { consumer }: MemoryBusClient,
  deliver: (texts: string[]) => void | Promise<void>,
  groupId = "group",
) {
  const controller = new AbortController();
  const texts = (records: readonly ConsumerRecord[]) =>
    records.map(({ value }) => new TextDecoder().decode(value ?? undefined));
  const ended = consumer.run({
    topics: [{ name: "topic", partitions: 1 }],
    groupId,
    deliver: (records) => deliver(texts(records)),
    onReady: () => {},
    signal: controller.signal,
  });
  return () => {
    controller.abort();
    return ended;
  };
}

/** All that is kept, read by a group that is new. */
async function kept(bus: MemoryBusClient): Promise<string[]> {
  const all: string[] = [];
  const stop = subscribe(bus, (texts) => void all.push(...texts), "new");
  await sleep(0);
  await stop();
  return all;
}

it("drops the oldest past its bounds when nobody is there to need it", async () => {
  const byCount = await connect({ maxPartitionRecords: 3 });
  for (const text of ["a", "b", "c", "d", "e"]) await send(byCount, text);
  expect(await kept(byCount)).toEqual(["c", "d", "e"]);
  const byBytes = await connect({ maxPartitionBytes: 20 });
  for (const text of ["1234567", "2345678", "3456789"]) await send(byBytes, text);
  expect(await kept(byBytes)).toEqual(["2345678", "3456789"]);
});

it("drops what every group has committed", async () => {
  const bus = await connect();
  const all: string[] = [];
  const stop = subscribe(bus, (texts) => void all.push(...texts));
  await send(bus, "a");
  await vi.waitFor(() => expect(all).toEqual(["a"]));
  await stop();
  await send(bus, "b");
  expect(await kept(bus)).toEqual(["b"]);
});

it("refuses records past its bounds while a running consumer still needs the oldest", async () => {
  const bus = await connect({ maxPartitionRecords: 2 });
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const all: string[] = [];
  const stop = subscribe(bus, async (texts) => {
    await held;
    all.push(...texts);
  });
  await send(bus, "a");
  await send(bus, "b");
  const error = await send(bus, "c").catch((reason: unknown) => reason);
  expect(error instanceof ConnectError && error.code).toBe(Code.ResourceExhausted);
  release();
  await vi.waitFor(() => expect(all).toEqual(["a", "b"]));
  await send(bus, "d");
  await vi.waitFor(() => expect(all).toEqual(["a", "b", "d"]));
  await stop();
});

it("gives a record to one member of a group, and one batch of a partition at a time", async () => {
  const bus = await connect({}, 4);
  const all: string[] = [];
  let running = 0;
  let most = 0;
  const deliver = async (texts: string[]): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await sleep(2);
    running -= 1;
    all.push(...texts);
  };
  const stops = Array.from({ length: 6 }, () => subscribe(bus, deliver));
  for (let round = 0; round < 20; round += 1) {
    for (let key = 0; key < 8; key += 1) await send(bus, `${key}:${round}`, String(key));
    await sleep(1);
  }
  await vi.waitFor(() => expect(all.length).toBeGreaterThanOrEqual(160));
  await Promise.all(stops.map((stop) => stop()));
  expect(new Set(all).size).toBe(160);
  expect(all.length).toBe(160);
  for (let key = 0; key < 8; key += 1) {
    const own = all.filter((text) => text.startsWith(`${key}:`));
    expect(own).toEqual(Array.from({ length: 20 }, (_, round) => `${key}:${round}`));
  }
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(4);
});
