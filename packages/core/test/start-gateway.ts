// A gateway for tests: memory bus and registry, Connect's in-process transport, and sockets that record.
import { Code, createRouterTransport } from "@connectrpc/connect";
import { ConversationService, UserService } from "@im-gateway/proto";
import { SignJWT } from "jose";
import { afterEach, expect } from "vitest";
import type { Consumer, ConsumerRecord, Producer, Socket, SocketEvents } from "../src/adapters.ts";
import { failure } from "../src/errors.ts";
import { createGateway, type Gateway } from "../src/gateway.ts";
import { createMemoryBus, createMemoryRegistry, type MemoryBusClient } from "../src/memory/index.ts";
import type { GatewayOptions } from "../src/options.ts";

export const secret = "a secret for tests";
const forever = new AbortController().signal;

export interface Frame {
  readonly type: string;
  readonly message_id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Recorded {
  readonly events: SocketEvents;
  readonly frames: Frame[];
  /** The number of frames of each write. */
  readonly writes: number[];
  readonly closes: number[];
  pings: number;
  buffered: number;
  send(type: string, data?: object, messageId?: string): void;
}

export interface Running {
  readonly gateway: Gateway;
  readonly bus: MemoryBusClient;
  readonly upstream: ConsumerRecord[];
  readonly userEvents: Readonly<Record<string, unknown>>[];
  readonly logged: string[];
  /** Lines of closes that the peer may never read. */
  readonly unread: object[];
  open(query?: string): Promise<Recorded>;
}

/** Run after each test. */
export const ends: (() => Promise<void>)[] = [];

export function unreadClose(close_code: number, user_id: string): object {
  return { close_code, user_id, connection_id: expect.any(String), device_id: expect.any(String) };
}
afterEach(async () => {
  for (const end of ends.splice(0)) {
    await end();
  }
});

export async function start(
  options: Pick<
    Partial<GatewayOptions>,
    "registry" | "transport" | "removeTopic" | "drainWindowMs" | "limits" | "memoryUse"
  > & {
    producer?: (real: Producer) => Producer;
    consumer?: (real: Consumer) => Consumer;
    sendBufferBytes?: number;
  } = {},
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
    consumer: options.consumer?.(mine.consumer) ?? mine.consumer,
    registry: options.registry ?? createMemoryRegistry(),
    ...(options.removeTopic === undefined ? {} : { removeTopic: options.removeTopic }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.memoryUse === undefined ? {} : { memoryUse: options.memoryUse }),
    ...(options.drainWindowMs === undefined ? {} : { drainWindowMs: options.drainWindowMs }),
    transport:
      options.transport ??
      createRouterTransport(({ service }) => {
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

export function jsonOf(record: ConsumerRecord): Readonly<Record<string, unknown>> {
  return JSON.parse(new TextDecoder().decode(record.value ?? new Uint8Array()));
}

export function token(
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

export const as = async (userId: string): Promise<string> => `?token=${await token(userId)}`;
export const typesOf = ({ frames }: Recorded): string[] => frames.map(({ type }) => type);
export const message = { conversation_id: "c1", message_type: 1, content: "hello", client_msg_id: "x1" };
export const record = (value: object): { topic: string; key: string; value: Uint8Array } => ({
  topic: "downstream-g1",
  key: "c1",
  value: new TextEncoder().encode(JSON.stringify({ conversation_id: "c1", seq_id: 1, ...value })),
});
