// What is registered and watched while a real etcd is killed, frozen, cut off and compacted. One etcd a test: they do
// not share its state.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Code } from "@connectrpc/connect";
import type { Log, Registry, ServiceInstance } from "@im-gateway/core";
import { type Etcd, installEtcd, startEtcd } from "@im-gateway/tools/etcd";
import { type FaultProxy, startFaultProxy } from "@im-gateway/tools/fault-proxy";
import { waitFor } from "@im-gateway/tools/process";
import { Etcd3 } from "etcd3";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createEtcdRegistry } from "./index.ts";

const leaseTtlMs = 2_000;
const callTimeoutMs = leaseTtlMs / 3;

let etcd: Etcd;
let registry: Registry;
let lines: string[];
let test: AbortController;
const log: Log = (level, message) => lines.push(`${level}: ${message}`);
const closers: (() => unknown)[] = [];

beforeEach(async () => {
  lines = [];
  test = new AbortController();
  etcd = await startEtcd();
  closers.push(() => etcd.stop());
  registry = open(etcd.endpoints);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function open(endpoints: readonly string[]): Registry {
  const opened = createEtcdRegistry({ endpoints, leaseTtlMs, log });
  closers.push(() => opened.close());
  return opened;
}

function instance(id: string): ServiceInstance {
  return { id, name: "im-logic", address: "127.0.0.1", port: 9001, metadata: {} };
}

/** The ids of every list that was reported, and what was said of the watch itself. */
function watch(of: Registry): { lists: string[]; working: boolean[]; ended: Promise<void> } {
  const lists: string[] = [];
  const working: boolean[] = [];
  const ended = of.watch(
    "im-logic",
    (instances) => lists.push(instances.map(({ id }) => id).join()),
    test.signal,
    (works) => working.push(works),
  );
  return { lists, working, ended };
}

const untilLast = (lists: readonly string[], ids: string, timeoutMs = 8_000): Promise<unknown> =>
  waitFor(() => lists.at(-1) === ids && lists.length > 0, {
    timeoutMs,
    what: `the list "${ids}", last was "${lists.at(-1)}"`,
  });

/** Lets time go by that is the subject of the test: a lease that has to end, say. */
async function pass(ms: number): Promise<void> {
  const sinceMs = performance.now();
  await waitFor(() => performance.now() - sinceMs >= ms, { timeoutMs: ms + 1_000, what: `${ms} ms` });
}

async function elapsedMs(work: Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work;
  return performance.now() - startedMs;
}

async function proxied(): Promise<FaultProxy> {
  const proxy = await startFaultProxy(Number(etcd.endpoints[0]?.split(":")[1]));
  closers.push(proxy.close);
  return proxy;
}

const count = (line: RegExp): number => lines.filter((text) => line.test(text)).length;

it("waits for an etcd that is not there yet, with one line in the log", async () => {
  await etcd.kill();
  const claim = registry.register(instance("a"), test.signal);
  await waitFor(() => count(/claim.*trying again/) === 1, { timeoutMs: 3_000, what: "the line" });
  await pass(1_500);
  await etcd.restart();
  expect((await claim).epoch).toBeGreaterThan(0);
  expect(count(/claim.*trying again/)).toBe(1);
  expect(count(/claim.*answers again/)).toBe(1);
});

it("gives up waiting when its signal aborts, and says where it waited for etcd", async () => {
  await etcd.kill();
  const claim = registry.register(instance("a"), test.signal);
  await waitFor(() => lines.length > 0, { timeoutMs: 3_000, what: "the first failure" });
  test.abort();
  await expect(claim).rejects.toMatchObject({
    code: Code.Canceled,
    rawMessage: `the claim of /services/im-logic/a was given up: etcd does not answer at ${etcd.endpoints.join()}`,
    cause: expect.any(Error),
  });
});

it("blames no etcd that answers for a claim that was given up", async () => {
  test.abort();
  await expect(registry.register(instance("a"), test.signal)).rejects.toMatchObject({
    code: Code.Canceled,
    rawMessage: "the claim of /services/im-logic/a was given up",
  });
});

it.each([
  ["shorter", 500],
  ["longer", leaseTtlMs + 1_000],
])("is registered, and watches on, after etcd was killed for %s than a lease", async (_, awayMs) => {
  const registration = await registry.register(instance("a"), test.signal);
  let lost = false;
  void registration.lost.then(() => {
    lost = true;
  });
  const { epoch } = registration;
  const { lists, working } = watch(open(etcd.endpoints));
  await untilLast(lists, "a");
  // The list comes first, and changes can be seen a moment later.
  await waitFor(() => working.length > 0, { timeoutMs: 3_000, what: "the watch to work" });
  await etcd.kill();
  await pass(awayMs);
  expect(lists).toEqual(["a"]);
  expect(working).toEqual([true, false]);
  await etcd.restart();
  const other = open(etcd.endpoints);
  await other.register(instance("b"), test.signal);
  // Less than etcd3's own circuit breaker would stay open.
  await untilLast(lists, "a,b", 4_000);
  await pass(leaseTtlMs * 2);
  expect(lists.at(-1)).toBe("a,b");
  expect(lost).toBe(false);
  expect(working).toEqual([true, false, true]);
  // An etcd that starts gives every lease its whole time again: the key never went, and nobody took it for dead.
  expect(registration.epoch).toBe(epoch);
  expect(count(/^warn: registration.*trying again/)).toBeLessThanOrEqual(1);
  await registration.release();
  await untilLast(lists, "b");
});

it("ends its calls by their deadline while etcd is frozen, and goes on after it", async () => {
  const registration = await registry.register(instance("a"), test.signal);
  const { lists } = watch(registry);
  await untilLast(lists, "a");
  etcd.freeze();
  const claim = new AbortController();
  const claiming = registry.register(instance("b"), claim.signal);
  await waitFor(() => count(/claim.*trying again/) === 1, {
    timeoutMs: callTimeoutMs + 2_000,
    what: "the claim's deadline",
  });
  claim.abort();
  const gaveUp = expect(claiming).rejects.toMatchObject({ code: Code.Canceled });
  expect(await elapsedMs(gaveUp)).toBeLessThan(callTimeoutMs + 2_000);
  await pass(leaseTtlMs);
  expect(lists).toEqual(["a"]);
  etcd.thaw();
  const other = open(etcd.endpoints);
  await other.register(instance("c"), test.signal);
  await waitFor(() => lists.at(-1) === "a,c", { timeoutMs: 20_000, what: "the list a,c" });
  await registration.release();
  await untilLast(lists, "c");
});

it("is released and closed in bounded time while etcd is frozen", async () => {
  const registration = await registry.register(instance("a"), test.signal);
  const { lists, ended } = watch(registry);
  await untilLast(lists, "a");
  etcd.freeze();
  expect(await elapsedMs(registration.release())).toBeLessThan(callTimeoutMs * 3 + 2_000);
  expect(count(/stays until its lease ends/)).toBe(1);
  expect(await elapsedMs(Promise.all([registry.close(), ended]))).toBeLessThan(callTimeoutMs * 2 + 2_000);
  etcd.thaw();
});

it("lists again after changes that it was cut off from and that were compacted away", async () => {
  const proxy = await proxied();
  const { lists } = watch(open([proxy.endpoint]));
  await untilLast(lists, "");
  const first = await registry.register(instance("a"), test.signal);
  await untilLast(lists, "a");
  proxy.cut();
  await registry.register(instance("b"), test.signal);
  await first.release();
  const { epoch } = await registry.register(instance("c"), test.signal);
  const raw = new Etcd3({ hosts: [...etcd.endpoints] });
  await raw.kv.compact({ revision: epoch, physical: true });
  raw.close();
  expect(lists.at(-1)).toBe("a");
  proxy.mend();
  await untilLast(lists, "b,c");
  const d = await registry.register(instance("d"), test.signal);
  await untilLast(lists, "b,c,d");
  await d.release();
  await untilLast(lists, "b,c");
});

it("is registered again within 5 s under a higher epoch when it was cut off until its key went", async () => {
  const proxy = await proxied();
  const reclaimed: number[] = [];
  const registration = await open([proxy.endpoint]).register(instance("a"), test.signal, () =>
    reclaimed.push(registration.epoch),
  );
  const { epoch } = registration;
  const { lists } = watch(registry);
  await untilLast(lists, "a");
  proxy.cut();
  await untilLast(lists, "", leaseTtlMs * 3);
  expect(registration.epoch).toBe(epoch);
  await expect(registration.update({ state: "draining" })).rejects.toMatchObject({ code: Code.Unavailable });
  proxy.mend();
  await untilLast(lists, "a", 5_000);
  await waitFor(() => reclaimed.length > 0, { timeoutMs: 1_000, what: "the word of it" });
  expect(reclaimed).toEqual([registration.epoch]);
  expect(registration.epoch).toBeGreaterThan(epoch);
  const updated = new Promise((resolve) => {
    void registry.watch("im-logic", ([first]) => resolve(first?.metadata), test.signal);
  });
  expect(await updated).toEqual({ state: "draining" });
});

it("notices a connection that swallows everything, and goes on over another", async () => {
  const proxy = await proxied();
  const { lists } = watch(open([proxy.endpoint]));
  await untilLast(lists, "");
  await registry.register(instance("a"), test.signal);
  await untilLast(lists, "a");
  proxy.swallow("all");
  await registry.register(instance("b"), test.signal);
  // A ping after 10 s and 3 s for its answer.
  await untilLast(lists, "a,b", 18_000);
}, 30_000);

it("rejects what etcd refuses for good", async () => {
  const etcdctl = (...args: string[]) =>
    promisify(execFile)(join(installEtcd(), "etcdctl"), [`--endpoints=${etcd.endpoints.join()}`, ...args]);
  await etcdctl("user", "add", "root:password-of-a-test");
  await etcdctl("user", "grant-role", "root", "root");
  await etcdctl("auth", "enable");
  await expect(registry.register(instance("a"), test.signal)).rejects.toMatchObject({ code: Code.InvalidArgument });
});
