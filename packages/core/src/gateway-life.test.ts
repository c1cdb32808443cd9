// The gateway's own life: what it says of who comes and goes, its drain, its health.
import { Code, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { as, jsonOf, message, record, secret, start, token, typesOf } from "../test/start-gateway.ts";
import { failure } from "./errors.ts";
import { createGateway } from "./gateway.ts";
import { createMemoryBus, createMemoryRegistry } from "./memory/index.ts";

const never = new AbortController().signal;

describe("life", () => {
  test("connected and disconnected are told in order, with the epoch", async () => {
    const { open, userEvents } = await start();
    const socket = await open(await as("alice"));
    socket.events.closed(1001, "");
    await expect
      .poll(() => userEvents)
      .toMatchObject([
        { event: "connected", user_id: "alice", device_id: "alice-phone", gateway_id: "g1", seq: 1, reason: "" },
        { event: "disconnected", user_id: "alice", seq: 2, reason: "closed 1001" },
      ]);
    expect(userEvents[0]?.connection_id).toBe(socket.frames[0]?.data.connection_id);
    expect(userEvents[0]?.gateway_epoch).toBe(userEvents[1]?.gateway_epoch);
    expect(Number(userEvents[0]?.gateway_epoch)).toBeGreaterThan(0);
  });

  test("a user event that Kafka does not take is sent again", async () => {
    let refusals = 2;
    const { open, userEvents } = await start({
      producer: (real) => ({
        close: real.close,
        send: (sent) =>
          sent.topic === "user-events" && refusals-- > 0
            ? Promise.reject(failure(Code.Unavailable, "X", "x"))
            : real.send(sent),
      }),
    });
    await open(await as("alice"));
    await expect.poll(() => userEvents.length, { timeout: 5000 }).toBe(1);
  });

  test("a drain that comes while the key is being claimed gives it back", async () => {
    const memory = createMemoryRegistry();
    const claims: (() => void)[] = [];
    const { producer, consumer } = createMemoryBus().connect();
    const gateway = createGateway({
      gatewayId: "early",
      version: "1",
      producer,
      consumer,
      registry: {
        ...memory,
        async register(...claim) {
          await new Promise<void>((resolve) => claims.push(resolve));
          return memory.register(...claim);
        },
      },
      transport: createRouterTransport(() => {}),
      log: () => {},
      jwt: { secret },
    });
    const started = gateway.start({ address: "127.0.0.1", port: 1 }, new AbortController().signal);
    await expect.poll(() => claims.length).toBe(1);
    await gateway.drain(AbortSignal.timeout(1000));
    claims[0]?.();
    await expect(started).rejects.toThrow("drained before it had started");
    expect(gateway.unready()).not.toEqual([]);
    const late = await gateway.upgrade({ path: await as("alice"), headers: new Headers() });
    expect(late.accepted).toBe(false);
    // The key is free.
    const next = await memory.register({ id: "early", name: "im-gateway", address: "a", port: 2, metadata: {} }, never);
    await next.release();
  });

  test("a drain says goaway, closes 1012, tells everybody's end and takes nobody new", async () => {
    const { gateway, open, userEvents } = await start();
    const [socket, waiting] = [await open(await as("alice")), await open()];
    expect(gateway.unready()).toEqual([]);
    await gateway.drain(AbortSignal.timeout(5000));
    expect(typesOf(socket)).toEqual(["connected", "goaway"]);
    expect([socket.closes, waiting.closes]).toEqual([[1012], [1012]]);
    expect(typesOf(waiting)).toEqual([]);
    await expect.poll(() => userEvents.map(({ event }) => event)).toEqual(["connected", "disconnected"]);
    expect(gateway.unready()).not.toEqual([]);
    const late = await gateway.upgrade({ path: await as("alice"), headers: new Headers() });
    expect(late.accepted ? 101 : late.response.status).toBe(503);
    expect(late.accepted ? "" : late.response.headers.get("retry-after")).toBe("1");
  });

  test("a drain goes in order: marked, waves, port, events, key, topic", async () => {
    const steps: string[] = [];
    const memory = createMemoryRegistry();
    const { gateway, open, userEvents } = await start({
      registry: {
        ...memory,
        async register(...claim) {
          const registration = await memory.register(...claim);
          return {
            ...registration,
            async update(metadata) {
              steps.push(`key says ${metadata.state} for ${metadata.instance === gateway.instance}`);
              steps.push(`sockets ${gateway.connections}, ready ${gateway.unready().length === 0}`);
              await registration.update(metadata);
            },
            async release() {
              const ends = userEvents.filter(({ event }) => event === "disconnected").length;
              steps.push(`key deleted, ends told ${ends}`);
              await registration.release();
            },
          };
        },
      },
      removeTopic: async (name) => void steps.push(`${name} removed`),
    });
    await open(await as("alice"));
    await open(await as("bob"));
    const told = gateway.drain(AbortSignal.timeout(5000), async () => {
      steps.push(`port closed, sockets ${gateway.connections}`);
    });
    expect(gateway.unready()).toEqual(["gateway: draining"]);
    await told;
    expect(steps).toEqual([
      "key says draining for true",
      "sockets 2, ready false",
      "port closed, sockets 0",
      "key deleted, ends told 2",
      "downstream-g1 removed",
    ]);
    expect(gateway.stopped.aborted).toBe(true);
  });

  test("a drain keeps the key while im-logic still sends to connections that have gone", async () => {
    let keyGone = false;
    const memory = createMemoryRegistry();
    const { gateway, open, bus } = await start({
      registry: {
        ...memory,
        async register(...claim) {
          const registration = await memory.register(...claim);
          return {
            ...registration,
            async release() {
              keyGone = true;
              await registration.release();
            },
          };
        },
      },
    });
    await open(await as("alice"));
    const drained = gateway.drain(AbortSignal.timeout(5000));
    let [late, lateWithoutKey] = [0, 0];
    for (const untilMs = performance.now() + 1500; performance.now() < untilMs; late += 1) {
      lateWithoutKey += keyGone ? 1 : 0;
      await bus.producer.send(
        record({ target_user_id: "alice", conversation_id: "c1", seq_id: late, content: "late" }),
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await drained;
    expect([late > 10, lateWithoutKey, keyGone]).toEqual([true, 0, true]);
  });

  test.each([
    ["does not answer", () => new Promise<void>(() => {})],
    ["refuses", () => Promise.reject(failure(Code.Unavailable, "X", "x"))],
  ])("a registry that %s holds no drain up", async (_name, update) => {
    const memory = createMemoryRegistry();
    const { gateway, open } = await start({
      registry: { ...memory, register: async (...claim) => ({ ...(await memory.register(...claim)), update }) },
    });
    const socket = await open(await as("alice"));
    const startedMs = performance.now();
    await gateway.drain(AbortSignal.timeout(20_000));
    expect(socket.closes).toEqual([1012]);
    expect(performance.now() - startedMs).toBeLessThan(3000);
  });

  test("a gateway without sockets drains at once", async () => {
    const { gateway } = await start();
    const startedMs = performance.now();
    await gateway.drain(AbortSignal.timeout(5000));
    expect(performance.now() - startedMs).toBeLessThan(200);
  });

  test("many are closed in waves over the window, each told when to come back; deliveries go on", async () => {
    const { gateway, open, bus } = await start({ drainWindowMs: 1000 });
    const query = await as("alice");
    const sockets = await Promise.all(Array.from({ length: 200 }, () => open(query)));
    const closed = (): number => sockets.filter(({ closes }) => closes.length > 0).length;
    const startedMs = performance.now();
    const drained = gateway.drain(AbortSignal.timeout(20_000));
    await expect.poll(closed, { interval: 10 }).toBeGreaterThan(20);
    await bus.producer.send(record({ broadcast: true, content: "late" }));
    const last = sockets.at(-1);
    await expect.poll(() => last && typesOf(last), { interval: 10 }).toContain("new-message");
    expect(closed()).toBeLessThan(200);
    await drained;
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    for (const { closes, frames } of sockets) {
      expect(closes).toEqual([1012]);
      expect(frames.at(-1)).toMatchObject({
        type: "goaway",
        data: { reason: "restart", reconnect_after_ms: 0, reconnect_within_ms: 1000 },
      });
    }
  });

  test("a drain without time closes all at once, and spreads the reconnects by its hint", async () => {
    const { gateway, open } = await start();
    const query = await as("alice");
    const sockets = await Promise.all(Array.from({ length: 300 }, () => open(query)));
    await gateway.drain(AbortSignal.abort());
    for (const { closes, frames } of sockets) {
      expect(closes).toEqual([1012]);
      expect(frames.at(-1)?.data).toMatchObject({ reconnect_within_ms: 3000 });
    }
  });

  test("who waits for an answer gets it before the close", async () => {
    let store = (): void => {};
    const { gateway, open } = await start({
      producer: (real) => ({
        close: real.close,
        async send(sent) {
          if (sent.topic === "upstream") {
            await new Promise<void>((resolve) => {
              store = resolve;
            });
          }
          await real.send(sent);
        },
      }),
    });
    const [sender, other] = [await open(await as("alice")), await open(await as("bob"))];
    sender.send("send-message", message);
    const drained = gateway.drain(AbortSignal.timeout(20_000));
    await expect.poll(() => other.closes).toEqual([1012]);
    await expect.poll(() => typesOf(sender)).toEqual(["connected", "goaway"]);
    expect(sender.closes).toEqual([]);
    store();
    await drained;
    expect(typesOf(sender)).toEqual(["connected", "goaway", "message-ack"]);
    expect(sender.closes).toEqual([1012]);
  });

  test("whose partition another member has is evicted, and asks for it under its epoch", async () => {
    let taken = (): void => {};
    const epochs: (number | undefined)[] = [];
    const { gateway, open } = await start({
      consumer: (real) => ({
        run: (subscription) => {
          epochs.push(subscription.epoch?.());
          return new Promise((resolve, reject) => {
            taken = () => reject(failure(Code.Aborted, "PARTITION_TAKEN", "another member has it"));
            void real.run(subscription).then(resolve, reject);
          });
        },
      }),
    });
    const socket = await open(await as("alice"));
    expect(epochs).toEqual([expect.any(Number)]);
    expect(epochs[0]).toBeGreaterThan(0);
    taken();
    await expect.poll(() => socket.closes).toEqual([1012]);
    expect(typesOf(socket)).toEqual(["connected", "resync-required"]);
    expect(gateway.stopped.aborted).toBe(true);
    expect(gateway.unready()).toEqual(["registry: another process holds this gateway's key"]);
  });

  test("a key that was claimed anew: a new epoch in every record, and every connection told of anew", async () => {
    const memory = createMemoryRegistry();
    let reclaim = (): void => {};
    let epoch = 7;
    const { open, userEvents, upstream } = await start({
      registry: {
        ...memory,
        async register(instance, signal, onReclaimed) {
          const registration = await memory.register(instance, signal);
          reclaim = () => {
            epoch = 9;
            onReclaimed?.();
          };
          const { lost, update, release } = registration;
          return {
            get epoch() {
              return epoch;
            },
            lost,
            update,
            release,
          };
        },
      },
    });
    const socket = await open(await as("alice"));
    await expect.poll(() => userEvents).toMatchObject([{ event: "connected", gateway_epoch: 7, seq: 1 }]);
    reclaim();
    await expect.poll(() => userEvents[1]).toMatchObject({ event: "connected", gateway_epoch: 9, seq: 2 });
    // What im-logic stored while it took this gateway for gone was routed to nobody.
    expect(typesOf(socket)).toEqual(["connected", "resync-required"]);
    socket.send("send-message", message);
    await expect.poll(() => upstream.map(jsonOf)).toMatchObject([{ gateway_epoch: 9 }]);
    expect(socket.closes).toEqual([]);
  });

  test("/health, /ready and a REST call through fetch", async () => {
    const { gateway } = await start();
    const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
      gateway.fetch(new Request(`http://x${path}`, { headers }));
    expect(await (await get("/health")).json()).toEqual({
      status: "ok",
      gateway_id: "g1",
      instance: gateway.instance,
      version: "1",
    });
    expect(await (await get("/ready")).json()).toEqual({ ready: true, reasons: [] });
    const me = await get("/api/v1/users/me", { authorization: `Bearer ${await token("alice")}` });
    expect(await me.json()).toMatchObject({ user_id: "alice" });
    expect((await get("/api/v1/users/me")).status).toBe(401);
  });
});
