// The gateway among those who misbehave: clients, back ends, a registry and a Kafka that go away, and events that come in a bad moment.
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { UserService } from "@im-gateway/proto";
import fc from "fast-check";
import { SignJWT } from "jose";
import { afterEach, describe, expect, test } from "vitest";
import { as, record, start as startGateway, typesOf } from "../test/start-gateway.ts";
import type { Producer, Registration, Registry, Socket, SocketEvents } from "./adapters.ts";
import { failure } from "./errors.ts";
import { createGateway, type Gateway } from "./gateway.ts";
import { createMemoryBus, createMemoryRegistry, type MemoryBusClient } from "./memory/index.ts";

const secret = "a secret for tests";
const forever = new AbortController().signal;

interface Client {
  readonly events: SocketEvents;
  readonly frames: { readonly type: string; readonly message_id: string; readonly data: Record<string, unknown> }[];
  readonly closes: number[];
  send(type: string, data?: object, messageId?: string): void;
}

interface Started {
  readonly gateway: Gateway;
  /** Another client of the gateway's bus. */
  readonly bus: Pick<MemoryBusClient, "consumer" | "removeTopic">;
  readonly userEvents: Record<string, unknown>[];
  readonly logged: string[];
  /** Resolves the registration's `lost`. */
  readonly lose: () => void;
  readonly released: () => number;
  /** Ends a user's token verification: opens with it as the upgrade did. */
  open(userId?: string): Promise<Client>;
  deliver(record: object): Promise<void>;
}

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) {
    await end();
  }
});

async function start(send: (real: Producer["send"]) => Producer["send"] = (real) => real): Promise<Started> {
  const bus = createMemoryBus();
  const [mine, watching] = [bus.connect(), bus.connect()];
  const stop = new AbortController();
  const userEvents: Record<string, unknown>[] = [];
  const logged: string[] = [];
  void watching.consumer.run({
    topics: [{ name: "user-events", partitions: 1 }],
    groupId: "test",
    deliver: (records) => {
      userEvents.push(...records.map(({ value }) => JSON.parse(new TextDecoder().decode(value ?? undefined))));
    },
    onReady: () => {},
    signal: stop.signal,
  });
  let released = 0;
  let lose = (): void => {};
  const memory = createMemoryRegistry();
  const registry: Registry = {
    ...memory,
    async register(instance, signal): Promise<Registration> {
      const registration = await memory.register(instance, signal);
      const lost = new Promise<void>((resolve) => {
        lose = resolve;
      });
      const release = (): Promise<void> => {
        released += 1;
        return registration.release();
      };
      return { ...registration, lost, release };
    },
  };
  const gateway = createGateway({
    gatewayId: "g1",
    version: "1",
    producer: { send: send(mine.producer.send), close: mine.producer.close },
    consumer: mine.consumer,
    registry,
    transport: createRouterTransport(({ service }) => {
      service(UserService, {
        getMe: ({ callerId }) => ({ userId: callerId }),
        getUser: ({ userId }) => {
          const error = new ConnectError(userId, Code.Unavailable);
          const type = userId.startsWith("wait") ? "google.rpc.RetryInfo" : "google.rpc.ErrorInfo";
          const value = userId === "wait" ? [0x0a, 0x0b, 0x08, ...Array(9).fill(0xff), 0x01] : [0x0a, 0xff, 0xff];
          error.details.push({ type, value: Uint8Array.from(value) });
          throw error;
        },
      });
    }),
    log: (level, message) => logged.push(`${level} ${message}`),
    jwt: { secret },
  });
  await gateway.start({ address: "127.0.0.1", port: 1 }, forever);
  ends.push(async () => {
    await gateway.drain(AbortSignal.timeout(1000));
    stop.abort();
  });
  return {
    gateway,
    bus: watching,
    userEvents,
    logged,
    lose: () => lose(),
    released: () => released,
    async open(userId) {
      const query = userId === undefined ? "" : `?token=${await token(userId)}`;
      const upgrade = await gateway.upgrade({ path: `/ws${query}`, headers: new Headers() });
      return upgrade.accepted ? connect(gateway, upgrade) : expect.unreachable("refused");
    },
    async deliver(record) {
      const value = new TextEncoder().encode(JSON.stringify(record));
      await watching.producer.send({ topic: "downstream-g1", key: "c", value });
    },
  };
}

function connect(gateway: Gateway, upgrade: Parameters<Gateway["open"]>[1]): Client {
  const frames: Client["frames"] = [];
  const closes: number[] = [];
  const socket: Socket = {
    bufferedBytes: 0,
    write(batch) {
      expect(closes).toEqual([]);
      frames.push(...batch.map(({ text }) => JSON.parse(text)));
      return batch.length;
    },
    ping() {},
    close: (code) => void closes.push(code),
  };
  const events = gateway.open(socket, upgrade);
  return {
    events,
    frames,
    closes,
    send: (type, data = {}, messageId = "m") => events.text(JSON.stringify({ type, message_id: messageId, data }), 0),
  };
}

function token(userId: string, claims: object = {}): Promise<string> {
  return new SignJWT({ sub: userId, did: "phone", ...claims })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt" })
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secret));
}

const shown = ({ frames }: Client): string[] => frames.map(({ type, message_id }) => `${type} ${message_id}`.trim());
const message = { conversation_id: "c1", message_type: 1, content: "hello", client_msg_id: "x1" };
/** Lets everything that does not wait for a timer happen: a verification takes a turn of the event loop or two. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

describe("while a token is verified", () => {
  test("a socket that goes is not connected afterwards", async () => {
    const { open, userEvents, deliver } = await start();
    const client = await open();
    client.send("auth", { token: await token("alice") });
    client.send("ping");
    client.events.closed(1006, "");
    const witness = await open("alice");
    await deliver({ target_user_id: "alice" });
    await expect.poll(() => shown(witness)).toEqual(["connected", "new-message"]);
    expect([client.frames, client.closes]).toEqual([[], []]);
    expect(userEvents.map(({ event }) => event)).toEqual(["connected"]);
  });

  test("one on a gateway that drains is closed and told nothing more", async () => {
    const { open, gateway, userEvents } = await start();
    const client = await open();
    client.send("auth", { token: await token("alice") });
    await gateway.drain(AbortSignal.timeout(1000));
    await turns();
    expect([client.frames, client.closes, userEvents]).toEqual([[], [1012], []]);
  });

  test("what was held keeps its order, also around another auth frame", async () => {
    const { open } = await start();
    const client = await open();
    client.send("auth", { token: await token("alice") }, "1");
    client.send("ping", {}, "2");
    client.send("auth", { token: await token("alice") }, "3");
    client.send("ping", {}, "4");
    client.send("auth", { token: await token("bob") }, "5");
    client.send("ping", {}, "6");
    await expect.poll(() => client.closes).toEqual([4501]);
    expect(shown(client)).toEqual(["connected 1", "pong 2", "authenticated 3", "pong 4"]);
  });

  test("no more than 64 texts are held", async () => {
    const { open } = await start();
    const [patient, hasty] = [await open(), await open()];
    for (const [client, count] of [
      [patient, 64],
      [hasty, 65],
    ] as const) {
      client.send("auth", { token: await token("alice") });
      for (let n = 0; n < count; n++) {
        client.send("ping");
      }
    }
    await expect.poll(() => patient.frames.length).toBe(65);
    expect([patient.closes, hasty.closes, hasty.frames]).toEqual([[], [4500], []]);
  });
});

describe("an upgrade", () => {
  test.each([
    ["a header", "/ws", { authorization: "Bearer GOOD" }, "alice"],
    ["a sub-protocol", "/ws", { "sec-websocket-protocol": "im.v1.json, bearer.GOOD" }, "alice"],
    ["a query, before everything else", "/ws?token=GOOD", { authorization: "Bearer bad" }, "alice"],
    ["nothing", "/ws?x=1", {}, undefined],
    ["a header of another scheme", "/ws", { authorization: "Basic x" }, undefined],
    ["an empty query parameter", "/ws?token=", { authorization: "Bearer GOOD" }, 401],
    ["an empty header", "/ws", { authorization: "Bearer" }, 401],
    ["an empty sub-protocol", "/ws", { "sec-websocket-protocol": "bearer." }, 401],
    ["a refresh token", "/ws?token=REFRESH", {}, 401],
  ] as const)("with %s", async (_name, path, headers, expected) => {
    const { gateway } = await start();
    const refresh = await new SignJWT({ sub: "alice" })
      .setProtectedHeader({ alg: "HS256", typ: "rt+jwt" })
      .setExpirationTime("1h")
      .sign(new TextEncoder().encode(secret));
    const good = await token("alice");
    const fill = (text: string): string => text.replace("GOOD", good).replace("REFRESH", refresh);
    const upgrade = await gateway.upgrade({
      path: fill(path),
      headers: new Headers(Object.entries(headers).map(([name, value]): [string, string] => [name, fill(value)])),
    });
    if (upgrade.accepted) {
      expect(upgrade.identity?.userId).toBe(expected);
      expect(upgrade.protocol ?? "").not.toContain("bearer");
    } else {
      expect(upgrade.response.status).toBe(expected);
      expect(upgrade.response.headers.get("www-authenticate")).toBe("Bearer");
      expect(await upgrade.response.json()).toMatchObject({ code: "unauthenticated" });
    }
  });
});

describe("a back end", () => {
  test.each(["broken", "wait"])("whose error has details that nobody can read (%s) is answered for", async (userId) => {
    const { open, gateway } = await start();
    const client = await open("alice");
    client.send("call", { method: "im.logic.v1.UserService/GetUser", request: { user_id: userId } }, "1");
    await expect.poll(() => shown(client)).toEqual(["connected", "error 1"]);
    expect(client.frames[1]?.data).toMatchObject({ code: "unavailable", message: userId });
    const headers = { authorization: `Bearer ${await token("alice")}` };
    const response = await gateway.fetch(new Request(`http://x/api/v1/users/${userId}`, { headers }));
    expect([response.status, Object(await response.json()).code]).toEqual([503, "unavailable"]);
  });

  test("that sends what is no frame harms nobody", async () => {
    const { open, deliver, logged } = await start();
    const client = await open("alice");
    const poison = [
      { type: "reply", data: { response: 7 } },
      { type: "error", data: { details: [1] } },
      { type: "kick", user_id: "" },
      { timestamp: 9007199254740992 },
      { data: { "": null }, type: "__proto__" },
      { target_user_ids: Array(1001).fill("alice") },
    ];
    for (const record of poison) {
      await deliver({ target_user_id: "alice", ...record });
    }
    await deliver({ broadcast: true, content: "after" });
    await expect.poll(() => client.frames.at(-1)?.data.content).toBe("after");
    expect(shown(client)).toEqual(["connected", "new-message"]);
    expect(logged).toEqual(poison.map(() => "warn downstream record skipped"));
  });

  test("of Kafka's that never answers leaves the socket to all others", async () => {
    const { open } = await start(
      (real) => (record) => (record.topic === "upstream" ? new Promise(() => {}) : real(record)),
    );
    const client = await open("alice");
    client.send("send-message", message, "1");
    client.send("ping", {}, "2");
    await expect.poll(() => shown(client)).toEqual(["connected", "pong 2"]);
  });

  test("of Kafka's that answers late answers nobody who has gone", async () => {
    let stored = (): void => {};
    const { open } = await start(
      (real) => (record) =>
        record.topic === "upstream"
          ? new Promise<void>((resolve) => {
              stored = resolve;
            })
          : real(record),
    );
    const client = await open("alice");
    await expect.poll(() => shown(client)).toEqual(["connected"]);
    client.send("send-message", message);
    client.events.closed(1001, "");
    stored();
    await turns();
    expect(shown(client)).toEqual(["connected"]);
  });

  test.each([
    ["a ConnectError", failure(Code.InvalidArgument, "MESSAGE_TOO_LARGE", "too large"), "MESSAGE_TOO_LARGE"],
    ["anything else", new RangeError("a secret of the client library"), "INTERNAL"],
  ])("of Kafka's that refuses with %s is an error for its message", async (_name, error, reason) => {
    const { open } = await start(
      (real) => (record) => (record.topic === "upstream" ? Promise.reject(error) : real(record)),
    );
    const client = await open("alice");
    client.send("send-message", message, "1");
    await expect
      .poll(() => client.frames[1])
      .toMatchObject({
        type: "error",
        message_id: "1",
        data: { reason, client_msg_id: "x1", trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) },
      });
    expect(JSON.stringify(client.frames)).not.toContain("secret");
  });
});

test("a gateway whose key is another's says resync-required, closes 1012 and takes nobody new", async () => {
  const { open, lose, gateway, userEvents, deliver, released } = await start();
  const [client, waiting] = [await open("alice"), await open()];
  lose();
  await expect.poll(() => [client.closes, waiting.closes]).toEqual([[1012], [1012]]);
  expect(shown(client)).toEqual(["connected", "resync-required"]);
  expect(client.frames[1]?.data).toMatchObject({ conversation_ids: [] });
  expect(gateway.unready()).not.toEqual([]);
  const late = await gateway.upgrade({ path: "/ws", headers: new Headers() });
  expect(late.accepted ? 101 : late.response.status).toBe(503);
  await deliver({ broadcast: true });
  await expect.poll(() => userEvents.map(({ event }) => event)).toEqual(["connected", "disconnected"]);
  await gateway.drain(AbortSignal.timeout(1000));
  expect(shown(client)).toEqual(["connected", "resync-required"]);
  expect(released()).toBe(1);
});

test("a gateway whose partition a later life has taken leaves as one without its key", async () => {
  const { open, gateway, bus } = await start();
  const client = await open("alice");
  const stop = new AbortController();
  void bus.consumer.run({
    topics: [{ name: "downstream-g1", partitions: 1 }],
    groupId: "downstream-g1",
    epoch: () => Number.MAX_SAFE_INTEGER,
    deliver: () => {},
    onReady: () => {},
    signal: stop.signal,
  });
  await expect.poll(() => client.closes).toEqual([1012]);
  stop.abort();
  expect(client.frames[1]?.data).toMatchObject({ conversation_ids: [], reason: "GATEWAY_REPLACED" });
  expect(gateway.unready()).not.toEqual([]);
});

test("a topic that Kafka refuses for a while is consumed again, and nothing of it is lost", async () => {
  let refuse = (): void => {};
  const { gateway, open, bus, logged } = await startGateway({
    consumer: (real) => ({
      async run(subscription) {
        const refused = new AbortController();
        refuse = () => refused.abort(failure(Code.PermissionDenied, "KAFKA_REFUSED", "Kafka refuses"));
        await real.run({ ...subscription, signal: AbortSignal.any([subscription.signal, refused.signal]) });
        refused.signal.throwIfAborted();
      },
    }),
  });
  const client = await open(await as("alice"));
  refuse();
  await expect.poll(() => gateway.unready()).toEqual(["kafka: the downstream topic is not being consumed"]);
  await bus.producer.send(record({ target_user_id: "alice" }));
  // Its heartbeat is shorter than the pause.
  const alive = (): readonly string[] => {
    client.send("ping");
    return typesOf(client).filter((type) => type !== "pong");
  };
  await expect.poll(alive, { timeout: 10_000 }).toEqual(["connected", "new-message"]);
  expect([gateway.unready(), client.closes]).toEqual([[], []]);
  expect(logged).toContain("error the downstream topic can not be consumed");
});

test("a burst of poison is all on the dead-letter topic, a few at a time", async () => {
  let sending = 0;
  let most = 0;
  const { bus } = await startGateway({
    producer: (real) => ({
      close: real.close,
      async send(letter) {
        sending += 1;
        most = Math.max(most, sending);
        await real.send(letter);
        sending -= 1;
      },
    }),
  });
  const dead = new Set<string | undefined>();
  const stop = new AbortController();
  void bus.consumer.run({
    topics: [{ name: "dead-letter", partitions: 1 }],
    groupId: "test",
    deliver: (records) => void records.map(({ headers }) => dead.add(headers["source-offset"])),
    onReady: () => {},
    signal: stop.signal,
  });
  for (let count = 0; count < 2000; count += 1) {
    await bus.producer.send({ ...record({}), value: "garbage" });
  }
  await expect.poll(() => dead.size, { timeout: 10_000 }).toBe(2000);
  stop.abort();
  expect(most).toBeLessThanOrEqual(100);
});

test("sockets are told when records are gone before they were delivered, and stay", async () => {
  const { open, gateway, bus } = await start();
  const client = await open("alice");
  await bus.removeTopic("downstream-g1", forever);
  await expect.poll(() => shown(client)).toEqual(["connected", "resync-required"]);
  expect(client.frames[1]?.data).toMatchObject({ conversation_ids: [], reason: "RECORDS_LOST" });
  expect([client.closes, gateway.unready()]).toEqual([[], []]);
  expect(gateway.counters.recordFailures.get("downstream")?.get("RECORDS_LOST")).toBe(1);
});

test("a user who is away while records are lost is told on coming back", async () => {
  const { open, gateway, bus } = await start();
  const client = await open("alice");
  const away = await open("bob");
  away.events.closed(1006, "");
  await bus.removeTopic("downstream-g1", forever);
  await expect.poll(() => shown(client)).toEqual(["connected", "resync-required"]);
  const back = await open("bob");
  await expect.poll(() => shown(back)).toEqual(["connected", "resync-required"]);
  expect(gateway.connections).toBe(2);
});

test("an upgrade that was accepted just before the drain is closed 1012, and nobody is told that it was there", async () => {
  const { gateway, logged } = await start();
  const upgrade = await gateway.upgrade({ path: `/ws?token=${await token("alice")}`, headers: new Headers() });
  await gateway.drain(AbortSignal.timeout(1000));
  const client = upgrade.accepted ? connect(gateway, upgrade) : expect.unreachable("refused");
  await turns();
  expect([client.closes, client.frames, logged]).toEqual([[1012], [], ["debug connection closed: restart"]]);
});

test("a drain ends by its signal also while Kafka takes no user event", async () => {
  const { gateway, open, released } = await start(
    () => () => Promise.reject(failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "away")),
  );
  const client = await open("alice");
  await gateway.drain(AbortSignal.timeout(50));
  expect([client.closes, released()]).toEqual([[1012], 1]);
});

test("whatever a client sends, it is answered or closed, and nobody else notices", async () => {
  const { open, deliver } = await start();
  const witness = await open("bob");
  const types = fc.constantFrom(
    ...["send-message", "mark-read", "typing", "call", "resume", "auth", "ping", "pong", "__proto__", ""],
  );
  const data = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constant(message),
    fc.constant({ method: "im.logic.v1.UserService/GetMe" }),
    fc.constant({ conversation_id: "c", seq_id: 1 }),
    fc.constant({ cursors: { __proto__: 1 } }),
  );
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.record({ type: types, message_id: fc.constant("m"), data }).map((frame) => JSON.stringify(frame)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(text, { maxLength: 10 }), fc.boolean(), async (texts, known) => {
      const client = await open(known ? "alice" : undefined);
      for (const each of texts) {
        client.events.text(each, each.length);
      }
      client.send("ping", {}, "last");
      await expect
        .poll(() => client.closes.length > 0 || shown(client).some((line) => line.endsWith(" last")), { interval: 1 })
        .toBe(true);
      client.events.closed(1000, "");
    }),
    { numRuns: 200 },
  );
  await deliver({ target_user_id: "bob", content: "still here" });
  await expect.poll(() => witness.frames.at(-1)?.data.content).toBe("still here");
  expect(shown(witness)).toEqual(["connected", "new-message"]);
});
