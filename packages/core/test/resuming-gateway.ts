// A gateway whose downstream records the test hands over itself, and whose im-logic answers a resume when the test lets it.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";
import { type ResumeRequest, type ResumeResponseSchema, RouteService } from "@im-gateway/proto";
import type { Log, Subscription } from "../src/adapters.ts";
import { createGateway, type Gateway } from "../src/gateway.ts";
import { createMemoryBus, createMemoryRegistry } from "../src/memory/index.ts";
import type { WebSocketLimits } from "../src/options.ts";
import { ends, type Frame, secret, token } from "./start-gateway.ts";

type Answer = MessageInitShape<typeof ResumeResponseSchema>;

/** A call that waits to be answered. */
export interface Asked {
  readonly request: ResumeRequest;
  answer(answer: Answer): void;
  fail(error: Error): void;
}

export interface Client {
  /** Of the socket, from its first on. */
  readonly frames: Frame[];
  readonly closes: number[];
  buffered: number;
  send(type: string, data?: object, messageId?: string): void;
  leave(): void;
}

export interface ResumingGateway {
  readonly gateway: Gateway;
  readonly asked: Asked[];
  readonly logged: string[];
  /** Hands records over as one batch, and waits for its turn to end. */
  deliver(...records: readonly object[]): Promise<void>;
  connect(userId: string): Promise<Client>;
}

export interface ResumingOptions {
  /** false: a back end without RouteService. */
  readonly history?: boolean;
  readonly websocket?: Partial<WebSocketLimits>;
  readonly now?: () => number;
}

export async function startResuming(options: ResumingOptions = {}): Promise<ResumingGateway> {
  const { history = true } = options;
  const asked: Asked[] = [];
  const logged: string[] = [];
  let subscription: Subscription | undefined;
  const log: Log = (level, message) => logged.push(`${level} ${message}`);
  const { producer, ensureTopics } = createMemoryBus().connect();
  await ensureTopics([{ name: "user-events", partitions: 1 }], new AbortController().signal);
  const gateway = createGateway({
    gatewayId: "g1",
    version: "1",
    producer,
    consumer: {
      run: (given) => {
        subscription = given;
        given.onReady(true);
        return new Promise((resolve) => given.signal.addEventListener("abort", () => resolve()));
      },
    },
    registry: createMemoryRegistry(),
    transport: createRouterTransport((router) => {
      if (history) {
        router.service(RouteService, {
          resume: (request) => new Promise((resolve, reject) => asked.push({ request, answer: resolve, fail: reject })),
        });
      }
    }),
    log,
    jwt: { secret },
    ...(options.websocket === undefined ? {} : { websocket: options.websocket }),
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  await gateway.start({ address: "127.0.0.1", port: 1 }, new AbortController().signal);
  ends.push(() => gateway.drain(AbortSignal.timeout(1000)));
  return {
    gateway,
    asked,
    logged,
    async deliver(...records) {
      await subscription?.deliver(
        records.map((record, index) => ({
          topic: "downstream-g1",
          partition: 0,
          offset: String(index),
          key: null,
          value: new TextEncoder().encode(JSON.stringify(record)),
          headers: {},
        })),
      );
      await turnsEnd();
    },
    async connect(userId) {
      const upgrade = await gateway.upgrade({ path: `/ws?token=${await token(userId)}`, headers: new Headers() });
      if (!upgrade.accepted) {
        throw new Error(`refused: ${upgrade.response.status}`);
      }
      const client = { frames: [] as Frame[], closes: [] as number[], buffered: 0 };
      const events = gateway.open(
        {
          get bufferedBytes() {
            return client.buffered;
          },
          write(frames) {
            client.frames.push(...frames.map(({ text }): Frame => JSON.parse(text)));
            return frames.length;
          },
          ping() {},
          close: (code) => client.closes.push(code),
        },
        upgrade,
      );
      await turnsEnd();
      return Object.assign(client, {
        send: (type: string, data: object = {}, messageId = "m1") =>
          events.text(JSON.stringify({ type, message_id: messageId, data, timestamp: 1 }), 1),
        leave: () => events.closed(1006, ""),
      });
    },
  };
}

/** All that runs at the end of this turn, and what that starts, has run. */
export function turnsEnd(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
