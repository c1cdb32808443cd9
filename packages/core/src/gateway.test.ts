// The gateway through its public door: memory bus and registry, Connect's in-process transport, and a socket that records.
import { Code, createRouterTransport } from "@connectrpc/connect";
import { ConversationService, UserService } from "@im-gateway/proto";
import { SignJWT } from "jose";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { ConsumerRecord, Producer, Socket, SocketEvents } from "./adapters.ts";
import { failure } from "./errors.ts";
import { createGateway, type Gateway } from "./gateway.ts";
import { createMemoryBus, createMemoryRegistry, type MemoryBusClient } from "./memory/index.ts";

const secret = "a secret for tests";
const forever = new AbortController().signal;

interface Frame {
  readonly type: string;
  readonly message_id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Recorded {
  readonly events: SocketEvents;
  readonly frames: Frame[];
  /** The number of frames of each write. */
  readonly writes: number[];
  readonly closes: number[];
  pings: number;
  buffered: number;
  send(type: string, data?: object, messageId?: string): void;
}

interface Running {
  readonly gateway: Gateway;
  readonly bus: MemoryBusClient;
  readonly upstream: ConsumerRecord[];
  readonly userEvents: Readonly<Record<string, unknown>>[];
  readonly logged: string[];
  /** Lines of closes that the peer may never read. */
  readonly unread: object[];
  open(query?: string): Promise<Recorded>;
}

const ends: (() => Promise<void>)[] = [];

function unreadClose(close_code: number, user_id: string): object {
  return { close_code, user_id, connection_id: expect.any(String), device_id: expect.any(String) };
}
afterEach(async () => {
  for (const end of ends.splice(0)) {
    await end();
  }
});

async function start(
  options: { producer?: (real: Producer) => Producer; sendBufferBytes?: number } = {},
): Promise<Running> {
  const memory = createMemoryBus();
  const bus = memory.connect();
  const mine = memory.connect();
  const stop = new AbortController();
  const upstream: ConsumerRecord[] = [];
  const userEvents: Readonly<Record<string, unknown>>[] = [];
  const logged: string[] = [];
  const unread: object[] = [];
  void bus.consumer.run({
    topics: [{ name: "upstream", partitions: 1 }],
    groupId: "test",
    deliver: (records) => {
      upstream.push(...records);
    },
    onReady: () => {},
    signal: stop.signal,
  });
  void bus.consumer.run({
    topics: [{ name: "user-events", partitions: 1 }],
    groupId: "test",
    deliver: (records) => {
      userEvents.push(...records.map(jsonOf));
    },
    onReady: () => {},
    signal: stop.signal,
  });
  const gateway = createGateway({
    gatewayId: "g1",
    version: "1",
    producer: options.producer?.(mine.producer) ?? mine.producer,
    consumer: mine.consumer,
    registry: createMemoryRegistry(),
    transport: createRouterTransport(({ service }) => {
      service(ConversationService, {
        markRead: ({ callerId, conversationId, seqId }) => {
          if (conversationId === "nowhere") {
            throw failure(Code.NotFound, "CONVERSATION_NOT_FOUND", "no such conversation");
          }
          return { unreadCount: callerId === "alice" ? seqId : 0n };
        },
      });
      service(UserService, { getMe: ({ callerId }) => ({ userId: callerId }) });
    }),
    log: (level, message, fields = {}) => {
      logged.push(`${level} ${message}`);
      if (level === "warn" && "close_code" in fields) {
        unread.push(fields);
      }
    },
    jwt: { secret },
    websocket: {
      sendBufferBytes: options.sendBufferBytes ?? 100_000,
      heartbeatIntervalMs: 1000,
      heartbeatTimeoutMs: 500,
      authTimeoutMs: 2000,
    },
  });
  await gateway.start({ address: "127.0.0.1", port: 1 }, forever);
  ends.push(async () => {
    await gateway.drain(AbortSignal.timeout(1000));
    stop.abort();
  });
  const open = async (query = ""): Promise<Recorded> => {
    const upgrade = await gateway.upgrade({ path: `/ws${query}`, headers: new Headers() });
    if (!upgrade.accepted) {
      throw new Error(`refused: ${upgrade.response.status}`);
    }
    const recorded = { frames: [], writes: [], closes: [], pings: 0, buffered: 0 } as Omit<Recorded, "events" | "send">;
    const socket: Socket = {
      get bufferedBytes() {
        return recorded.buffered;
      },
      write(frames) {
        recorded.writes.push(frames.length);
        recorded.frames.push(...frames.map(({ text }): Frame => JSON.parse(text)));
        return frames.length;
      },
      ping() {
        recorded.pings += 1;
      },
      close(code) {
        recorded.closes.push(code);
      },
    };
    const events = gateway.open(socket, upgrade);
    return Object.assign(recorded, {
      events,
      send(type: string, data: object = {}, messageId = "m1") {
        events.text(JSON.stringify({ type, message_id: messageId, data, timestamp: 1 }), 1);
      },
    });
  };
  return { gateway, bus, upstream, userEvents, logged, unread, open };
}

function jsonOf(record: ConsumerRecord): Readonly<Record<string, unknown>> {
  return JSON.parse(new TextDecoder().decode(record.value ?? new Uint8Array()));
}

function token(
  userId: string,
  claims: Readonly<Record<string, unknown>> = {},
  expires: string | number = "1h",
): Promise<string> {
  return new SignJWT({ did: `${userId}-phone`, ...claims })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt" })
    .setSubject(userId)
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(secret));
}

const as = async (userId: string): Promise<string> => `?token=${await token(userId)}`;
const typesOf = ({ frames }: Recorded): string[] => frames.map(({ type }) => type);
const message = { conversation_id: "c1", message_type: 1, content: "hello", client_msg_id: "x1" };
const record = (value: object): { topic: string; key: string; value: Uint8Array } => ({
  topic: "downstream-g1",
  key: "c1",
  value: new TextEncoder().encode(JSON.stringify({ conversation_id: "c1", seq_id: 1, ...value })),
});

describe("upstream", () => {
  test("a message becomes a record, and is acked when it is stored", async () => {
    const { open, upstream } = await start();
    const socket = await open(await as("alice"));
    socket.send("send-message", message, "m7");
    await expect.poll(() => typesOf(socket)).toEqual(["connected", "message-ack"]);
    await expect.poll(() => upstream.length).toBe(1);
    const [stored] = upstream;
    expect(stored?.key).toBe("c1");
    expect(stored && jsonOf(stored)).toMatchObject({
      user_id: "alice",
      device_id: "alice-phone",
      connection_id: socket.frames[0]?.data.connection_id,
      gateway_id: "g1",
      gateway_epoch: expect.any(Number),
      content: "hello",
      client_msg_id: "x1",
      trace_id: socket.frames[1]?.data.trace_id,
    });
    expect(socket.frames[1]).toMatchObject({ message_id: "m7", data: { client_msg_id: "x1", status: "accepted" } });
  });

  test("what is not stored is an error that says whether to try again", async () => {
    const refusing = failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "not now", { retryAfterMs: 1000 });
    const { open } = await start({
      producer: (real) => ({
        close: real.close,
        send: (sent) => (sent.topic === "upstream" ? Promise.reject(refusing) : real.send(sent)),
      }),
    });
    const socket = await open(await as("alice"));
    socket.send("send-message", message);
    await expect
      .poll(() => socket.frames[1])
      .toMatchObject({
        type: "error",
        message_id: "m1",
        data: { code: "unavailable", reason: "KAFKA_UNAVAILABLE", retry_after_ms: 1000, client_msg_id: "x1" },
      });
    expect(socket.closes).toEqual([]);
  });

  test("acks of one turn leave in one write", async () => {
    const { open } = await start();
    const socket = await open(await as("alice"));
    await expect.poll(() => socket.writes).toEqual([1]);
    for (let n = 0; n < 50; n++) {
      socket.send("ping", {}, String(n));
    }
    await expect.poll(() => socket.frames.length).toBe(51);
    expect(socket.writes).toEqual([1, 50]);
    expect(socket.frames.slice(1).map(({ message_id }) => Number(message_id))).toEqual(
      Array.from({ length: 50 }, (_, n) => n),
    );
  });
});

describe("downstream", () => {
  test("users, connections, exclusions, broadcast; encoded for all alike", async () => {
    const { open, bus } = await start();
    const [a1, a2, b] = [await open(await as("alice")), await open(await as("alice")), await open(await as("bob"))];
    await expect.poll(() => [a1, a2, b].map((socket) => socket.frames.length)).toEqual([1, 1, 1]);
    const idOf = (socket: Recorded): unknown => socket.frames[0]?.data.connection_id;
    const cases: readonly (readonly [object, readonly Recorded[]])[] = [
      [{ target_user_id: "alice" }, [a1, a2]],
      [{ target_user_ids: ["alice", "bob", "nobody"] }, [a1, a2, b]],
      [{ target_connection_ids: [idOf(b), "gone"] }, [b]],
      [{ target_user_id: "alice", exclude_connection_ids: [idOf(a1)] }, [a2]],
      [{ broadcast: true, exclude_connection_ids: [idOf(b)] }, [a1, a2]],
    ];
    for (const [index, [target, receivers]] of cases.entries()) {
      await bus.producer.send(record({ ...target, content: String(index) }));
      const got = (socket: Recorded): boolean => socket.frames.at(-1)?.data.content === String(index);
      await expect.poll(() => receivers.every(got)).toBe(true);
      expect([a1, a2, b].filter(got)).toEqual(receivers);
    }
  });

  test("poison is skipped and logged, what follows is delivered", async () => {
    const { open, bus, logged } = await start();
    const socket = await open(await as("alice"));
    await bus.producer.send({ ...record({}), value: new TextEncoder().encode("{") });
    await bus.producer.send(record({ target_user_id: "alice", type: "fly" }));
    await bus.producer.send(record({ target_user_id: "alice", content: "after" }));
    await expect.poll(() => socket.frames.at(-1)?.data.content).toBe("after");
    expect(logged.filter((line) => line === "warn downstream record skipped")).toHaveLength(2);
  });

  test("a reader that is too slow is closed 4008, others are not", async () => {
    const { open, bus, userEvents, unread } = await start({ sendBufferBytes: 1000 });
    const [slow, fast] = [await open(await as("alice")), await open(await as("alice"))];
    await expect.poll(() => slow.frames.length).toBe(1);
    slow.buffered = 1001;
    await bus.producer.send(record({ target_user_id: "alice", content: "x" }));
    await expect.poll(() => slow.closes).toEqual([4008]);
    expect(unread).toEqual([unreadClose(4008, "alice")]);
    expect(typesOf(fast)).toEqual(["connected", "new-message"]);
    await expect
      .poll(() => userEvents.map(({ event, reason }) => [event, reason]).at(-1))
      .toEqual(["disconnected", "slow consumer"]);
  });
});

describe("identity", () => {
  test.each([
    ["no token later than a bad one", "?token=bad", 401],
    ["an empty one", "?token=", 401],
  ])("an upgrade with %s is refused", async (_name, query, status) => {
    const { gateway } = await start();
    const upgrade = await gateway.upgrade({ path: `/ws${query}`, headers: new Headers() });
    expect(upgrade.accepted ? 101 : upgrade.response.status).toBe(status);
  });

  test("a first auth frame; what came while it was verified is handled after it, in order", async () => {
    const { open, userEvents } = await start();
    const socket = await open();
    socket.send("auth", { token: await token("alice") }, "a");
    socket.send("ping", {}, "b");
    socket.send("ping", {}, "c");
    await expect
      .poll(() => socket.frames.map(({ type, message_id }) => `${type} ${message_id}`))
      .toEqual(["connected a", "pong b", "pong c"]);
    await expect.poll(() => userEvents.map(({ event, user_id }) => [event, user_id])).toEqual([["connected", "alice"]]);
  });

  test("anything else before it is refused, the socket lives", async () => {
    const { open } = await start();
    const socket = await open();
    socket.send("send-message", message);
    await expect.poll(() => socket.frames[0]).toMatchObject({ type: "error", data: { code: "unauthenticated" } });
    socket.send("auth", { token: await token("alice") });
    await expect.poll(() => typesOf(socket)).toEqual(["error", "connected"]);
  });

  test.each([
    ["a bad token", "bad", 4501],
    ["no token", "", 4501],
    ["an expired one", () => token("alice", {}, Math.floor(Date.now() / 1000) - 10), 4003],
  ])("%s in the frame closes", async (_name, value, code) => {
    const { open, userEvents } = await start();
    const socket = await open();
    socket.send("auth", { token: typeof value === "string" ? value : await value() });
    await expect.poll(() => socket.closes).toEqual([code]);
    expect(userEvents).toEqual([]);
  });

  test("a later token renews it; one of another user or device closes 4501", async () => {
    const { open } = await start();
    const socket = await open(await as("alice"));
    socket.send("auth", { token: await token("alice", { sid: "new" }) }, "r");
    await expect
      .poll(() => socket.frames.at(-1))
      .toMatchObject({ type: "authenticated", message_id: "r", data: { user_id: "alice" } });
    for (const other of [await token("bob"), await token("alice", { did: "tablet" })]) {
      const victim = await open(await as("alice"));
      victim.send("auth", { token: other });
      await expect.poll(() => victim.closes).toEqual([4501]);
    }
    expect(socket.closes).toEqual([]);
  });

  test("without did a connection is its own device", async () => {
    const { open } = await start();
    const socket = await open(`?token=${await token("alice", { did: undefined })}`);
    await expect.poll(() => socket.frames[0]?.data.device_id).toBe(socket.frames[0]?.data.connection_id);
  });
});

describe("frames", () => {
  test("mark-read and call reach im-logic as the caller; its errors come back", async () => {
    const { open } = await start();
    const socket = await open(await as("alice"));
    socket.send("mark-read", { conversation_id: "c1", seq_id: 3 }, "1");
    socket.send("call", { method: "im.logic.v1.UserService/GetMe" }, "2");
    socket.send("mark-read", { conversation_id: "nowhere", seq_id: 3 }, "3");
    socket.send("call", { method: "im.logic.v1.UserService/GetMe", request: { caller_id: "bob" } }, "4");
    socket.send("call", { method: "im.logic.v1.UserService/Nothing" }, "5");
    const answer = (messageId: string): Frame | undefined =>
      socket.frames.find(({ message_id }) => message_id === messageId);
    await expect.poll(() => socket.frames.length).toBe(6);
    expect(answer("1")).toMatchObject({ type: "ack", data: {} });
    expect(answer("2")).toMatchObject({ type: "reply", data: { response: { user_id: "alice" } } });
    expect(answer("3")).toMatchObject({ type: "error", data: { code: "not_found", reason: "CONVERSATION_NOT_FOUND" } });
    expect(answer("4")).toMatchObject({ type: "error", data: { code: "invalid_argument", reason: "INVALID_FIELD" } });
    expect(answer("5")).toMatchObject({ type: "error", data: { code: "unimplemented", reason: "UNKNOWN_METHOD" } });
  });

  test("resume tells to read the history", async () => {
    const { open } = await start();
    const socket = await open(await as("alice"));
    socket.send("resume", { cursors: { c1: 7 } }, "r");
    await expect
      .poll(() => socket.frames[1])
      .toMatchObject({ type: "resync-required", message_id: "r", data: { conversation_ids: [] } });
  });

  test("ten bad frames are answered, the eleventh closes 4500; a binary one closes 1003", async () => {
    const { open } = await start();
    const [text, binary] = [await open(await as("alice")), await open(await as("alice"))];
    for (let n = 0; n < 11; n++) {
      text.events.text("{", 1);
    }
    expect(text.closes).toEqual([4500]);
    expect(typesOf(text).filter((type) => type === "error")).toHaveLength(10);
    binary.events.binary();
    expect(binary.closes).toEqual([1003]);
  });
});

describe("time", () => {
  test("silence is asked about and then ends; whatever comes counts as life", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "Date"] });
    ends.push(async () => {
      vi.useRealTimers();
    });
    const { open, unread } = await start();
    const [alive, dead, waiting] = [await open(await as("alice")), await open(await as("bob")), await open()];
    vi.advanceTimersByTime(1200);
    expect([alive.pings, dead.pings]).toEqual([1, 1]);
    alive.events.activity();
    vi.advanceTimersByTime(700);
    expect([alive.closes, dead.closes, waiting.closes]).toEqual([[], [4009], []]);
    vi.advanceTimersByTime(300);
    expect(waiting.closes).toEqual([4001]);
    expect(unread).toEqual([unreadClose(4009, "bob")]);
  });

  test("a token's end is announced a minute before, once, and closes 4003", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "Date"] });
    ends.push(async () => {
      vi.useRealTimers();
    });
    const { open } = await start();
    const expires = Math.floor(Date.now() / 1000) + 90;
    const socket = await open(`?token=${await token("alice", {}, expires)}`);
    for (let second = 0; second < 100 && socket.closes.length === 0; second++) {
      vi.advanceTimersByTime(1000);
      socket.events.activity();
      await Promise.resolve();
    }
    expect(typesOf(socket)).toEqual(["connected", "expiring"]);
    expect(socket.frames[1]?.data).toEqual({ expires_at: expires });
    expect(socket.closes).toEqual([4003]);
  });
});

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
