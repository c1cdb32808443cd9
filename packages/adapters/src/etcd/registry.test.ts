// Keys in a real etcd. What every registry does is in the conformance suite.
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import type { Log, Registry, ServiceInstance } from "@im-gateway/core";
import { type Etcd, startEtcd } from "@im-gateway/tools/etcd";
import { startFaultProxy } from "@im-gateway/tools/fault-proxy";
import { freePort, startProcess, waitFor } from "@im-gateway/tools/process";
import { Etcd3, type IKeyValue } from "etcd3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createEtcdRegistry } from "./index.ts";

const leaseTtlMs = 2_000;
const { signal } = new AbortController();

let etcd: Etcd;
let raw: Etcd3;
beforeAll(async () => {
  etcd = await startEtcd();
  raw = new Etcd3({ hosts: [...etcd.endpoints] });
});
afterAll(async () => {
  raw.close();
  await etcd.stop();
});

let registry: Registry;
let lines: string[];
const log: Log = (level, message) => lines.push(`${level}: ${message}`);
const closers: (() => unknown)[] = [];
beforeEach(() => {
  lines = [];
  registry = open();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await raw.delete().all();
});

function open(): Registry {
  const opened = createEtcdRegistry({ endpoints: etcd.endpoints, leaseTtlMs, log });
  closers.push(() => opened.close());
  return opened;
}

function gateway(port = 1, instance = "me"): ServiceInstance {
  return { id: "g-1", name: "im-gateway", address: "127.0.0.1", port, metadata: { instance } };
}

const gatewayKey = "/services/im-gateway/g-1";

function logic(id: string): ServiceInstance {
  return { id, name: "im-logic", address: "127.0.0.1", port: 9001, metadata: {} };
}

async function read(key: string): Promise<IKeyValue | undefined> {
  return (await raw.get(key).exec()).kvs[0];
}

async function serveHealth(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function lostOf(lost: Promise<void>): () => boolean {
  let isLost = false;
  void lost.then(() => {
    isLost = true;
  });
  return () => isLost;
}

describe("a key", () => {
  it("stands under a lease, as the contract writes it, and its revision is the epoch", async () => {
    const { epoch } = await registry.register(gateway(8080), signal);
    const found = await read(gatewayKey);
    expect(found?.value.toString()).toBe(
      '{"id":"g-1","name":"im-gateway","address":"127.0.0.1","port":8080,"metadata":{"instance":"me"}}',
    );
    expect(found?.lease).not.toBe("0");
    expect(Number(found?.create_revision)).toBe(epoch);
  });

  it("outlives its process by the lease, no longer", async () => {
    const args = [etcd.endpoints[0] ?? "", String(leaseTtlMs), JSON.stringify(gateway())];
    const script = join(import.meta.dirname, "../../fixtures/register.ts");
    const command = process.execPath;
    const child = startProcess({
      name: "register",
      command,
      args: ["--conditions=@im-gateway/source", script, ...args],
    });
    closers.push(() => child.kill());
    await child.waitForLine(/^registered/, 10_000);
    const keptMs = performance.now();
    await waitFor(() => performance.now() - keptMs > leaseTtlMs * 1.5, {
      timeoutMs: 5_000,
      what: "longer than the lease",
    });
    expect(await read(gatewayKey)).toBeDefined();
    await child.kill();
    expect(await read(gatewayKey)).toBeDefined();
    await waitFor(async () => (await read(gatewayKey)) === undefined, { timeoutMs: 5_000, what: "the key to go" });
  });

  it.each<[string, (key: IKeyValue) => Promise<unknown>]>([
    ["its lease was lost", ({ lease }) => raw.leaseClient.leaseRevoke({ ID: lease })],
    ["it was deleted", async () => raw.delete().key(gatewayKey)],
  ])("is claimed anew when %s; its new revision is the epoch", async (_, end) => {
    const reclaimed: number[] = [];
    const registration = await registry.register(gateway(), signal, () => reclaimed.push(registration.epoch));
    const { epoch } = registration;
    const lost = lostOf(registration.lost);
    const before = await read(gatewayKey);
    if (before === undefined) throw new Error("the key is not there");
    await end(before);
    expect(await read(gatewayKey)).toBeUndefined();
    const after = await waitFor(() => read(gatewayKey), { timeoutMs: 3_000, what: "the key to be put again" });
    await waitFor(() => reclaimed.length > 0, { timeoutMs: 1_000, what: "the word of it" });
    expect(reclaimed).toEqual([Number(after?.create_revision)]);
    expect(registration.epoch).toBeGreaterThan(epoch);
    expect(lost()).toBe(false);
    expect(lines).toContain("warn: the key has gone, registering anew");
    await registration.release();
    expect(await read(gatewayKey)).toBeUndefined();
  });

  it("has the value of the last update, also when it is claimed anew, and the epoch stays at an update", async () => {
    const registration = await registry.register(gateway(), signal);
    const { epoch } = registration;
    await registration.update({ instance: "me", state: "draining" });
    const updated = await read(gatewayKey);
    expect(updated?.value.toString()).toContain('"metadata":{"instance":"me","state":"draining"}');
    expect(registration.epoch).toBe(epoch);
    await raw.leaseClient.leaseRevoke({ ID: updated?.lease ?? "" });
    await waitFor(async () => (await read(gatewayKey))?.value.includes("draining"), {
      timeoutMs: 3_000,
      what: "the key to be put again",
    });
  });

  it("that is another's is not written to", async () => {
    const registration = await registry.register(gateway(), signal);
    await raw.put(gatewayKey).value("another's");
    await registration.update({ instance: "me", state: "draining" });
    expect((await read(gatewayKey))?.value.toString()).toBe("another's");
  });

  it("that another took is lost, and left alone from then on", async () => {
    const registration = await registry.register(gateway(), signal);
    await raw.put(gatewayKey).value("another's");
    await registration.lost;
    await registration.release();
    expect((await read(gatewayKey))?.value.toString()).toBe("another's");
  });

  it("that another took while our lease was lost is not taken back", async () => {
    const registration = await registry.register(gateway(), signal);
    await raw.leaseClient.leaseRevoke({ ID: (await read(gatewayKey))?.lease ?? "" });
    await raw.put(gatewayKey).value("another's");
    await registration.lost;
    expect((await read(gatewayKey))?.value.toString()).toBe("another's");
  });
});

describe("a gateway id that is taken", () => {
  const health = (instance: string): RequestListener => {
    return (_, response) => response.setHeader("content-type", "application/json").end(JSON.stringify({ instance }));
  };

  it.each<[string, () => Promise<string>]>([
    ["by one that is gone", async () => JSON.stringify(gateway(await freePort(), "other"))],
    [
      "by one whose place another took",
      async () => JSON.stringify(gateway(await serveHealth(health("third")), "other")),
    ],
    ["by one that does not answer", async () => JSON.stringify(gateway(await serveHealth(() => {}), "other"))],
    [
      "by one that is no gateway",
      async () => JSON.stringify(gateway(await serveHealth((_, response) => response.end("hello")), "other")),
    ],
    [
      "by one without an instance",
      async () => JSON.stringify({ ...gateway(await serveHealth(health("undefined"))), metadata: {} }),
    ],
    ["with a value that does not parse", async () => "{"],
  ])("%s is taken over", async (_, value) => {
    const { header } = await raw.put(gatewayKey).value(await value());
    const registration = await registry.register(gateway(), signal);
    expect(registration.epoch).toBeGreaterThan(Number(header.revision));
    expect((await read(gatewayKey))?.value.toString()).toContain('"instance":"me"');
  });

  it("by one that lives is refused, and its key not touched", async () => {
    const { header } = await raw
      .put(gatewayKey)
      .value(JSON.stringify(gateway(await serveHealth(health("other")), "other")));
    await expect(registry.register(gateway(), signal)).rejects.toMatchObject({ code: Code.AlreadyExists });
    expect((await read(gatewayKey))?.mod_revision).toBe(header.revision);
  });

  it.each<[string, () => Promise<unknown>]>([
    ["nobody's", async () => undefined],
    ["a dead one's", async () => raw.put(gatewayKey).value(JSON.stringify(gateway(await freePort(), "dead")))],
  ])("that is %s is given to one of those who claim it at the same time", async (_, prepare) => {
    await prepare();
    const claims = ["one", "two", "three"].map(async (instance) => {
      const port = await serveHealth(health(instance));
      return open().register(gateway(port, instance), signal);
    });
    const outcomes = await Promise.allSettled(claims);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });
});

it("does not take itself for another when the answer to its own claim was lost", async () => {
  const proxy = await startFaultProxy(Number(etcd.endpoints[0]?.split(":")[1]));
  closers.push(proxy.close);
  const mine = gateway(9001, "me");
  await raw.put(gatewayKey).value(JSON.stringify(gateway(9002, "dead")));
  let asked = 0;
  const registry = createEtcdRegistry({
    endpoints: [proxy.endpoint],
    leaseTtlMs: 10_000,
    log,
    // Between the look at the holder and the takeover. From then on the claimant's own health answers.
    async fetch() {
      asked += 1;
      proxy.swallow("answers");
      return Response.json({ instance: "me" });
    },
  });
  closers.push(() => registry.close());
  const claim = registry.register(mine, signal);
  await waitFor(async () => (await read(gatewayKey))?.value.includes('"me"'), {
    timeoutMs: 3_000,
    what: "the takeover",
  });
  const applied = await read(gatewayKey);
  proxy.cut();
  proxy.mend();
  expect((await claim).epoch).toBeGreaterThan(Number(applied?.mod_revision));
  expect(asked).toBe(1);
});

describe("a watch", () => {
  it("leaves out what does not parse, and logs its key only", async () => {
    const fields: unknown[] = [];
    const watched = createEtcdRegistry({
      endpoints: etcd.endpoints,
      log: (level, message, more) => fields.push(level, message, more),
    });
    closers.push(() => watched.close());
    await raw.put("/services/im-logic/a").value("no JSON at all");
    await raw.put("/services/im-logic/b").value(JSON.stringify(logic("b")));
    await raw.put("/services/im-logic/c").value(JSON.stringify({ ...logic("c"), port: 70_000 }));
    await raw.put("/services/im-logic/d").value(JSON.stringify(logic("x")));
    const lists: string[] = [];
    void watched.watch("im-logic", (list) => lists.push(list.map(({ id }) => id).join()), signal);
    await waitFor(() => lists.length === 1, { timeoutMs: 3_000, what: "the first list" });
    await raw.put("/services/im-logic/a").value(JSON.stringify(logic("a")));
    await waitFor(() => lists.length === 2, { timeoutMs: 3_000, what: "the repaired one" });
    await raw.put("/services/im-logic/b").value("broken");
    await waitFor(() => lists.length === 3, { timeoutMs: 3_000, what: "the broken one to go" });
    expect(lists).toEqual(["b", "a,b", "a"]);
    const text = JSON.stringify(fields);
    expect(text).toContain("/services/im-logic/a");
    expect(text).not.toMatch(/no JSON at all|70000|broken/);
  });
});
