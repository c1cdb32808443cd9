// An im-logic under test: reached as a gateway reaches it, by calls, by records on the bus, and by reading the gateways' topics.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Client,
  type Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Transport,
} from "@connectrpc/connect";
import type { Log, Producer, Registry, Topic } from "@im-gateway/core";
import { decodeRecord, encodeRecord, reasonOf } from "@im-gateway/core";
import { createMemoryBus, type MemoryBus } from "@im-gateway/core/memory";
import {
  AuthService,
  BadRequestSchema,
  ConversationService,
  type DownstreamRecord,
  DownstreamRecordSchema,
  FriendService,
  GroupService,
  MessageService,
  RouteService,
  UpstreamRecordSchema,
  UserEventSchema,
  UserService,
} from "@im-gateway/proto";
import { createLogic, type Logic } from "../src/index.ts";

export const secret = "a secret that only the tests know";

export interface ReceivedRecord {
  readonly gatewayId: string;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly record: DownstreamRecord;
}

export interface TestLogicOptions {
  readonly dataDir?: string;
  /** Default: a bus of its own. */
  readonly bus?: MemoryBus;
  /** The gateways that have a topic. Default: g1 and g2. */
  readonly gatewayIds?: readonly string[];
  readonly now?: () => number;
  /** Where the gateways have their keys. Default: nowhere, so that none is missed. */
  readonly registry?: Pick<Registry, "watch">;
  readonly removeTopic?: (name: string) => Promise<void>;
  /** Puts something between im-logic and the bus. */
  readonly wrapProducer?: (producer: Producer) => Producer;
}

export interface Services {
  readonly auth: Client<typeof AuthService>;
  readonly user: Client<typeof UserService>;
  readonly conversation: Client<typeof ConversationService>;
  readonly message: Client<typeof MessageService>;
  readonly group: Client<typeof GroupService>;
  readonly friend: Client<typeof FriendService>;
  readonly route: Client<typeof RouteService>;
}

export interface TestLogic extends Services {
  readonly logic: Logic;
  readonly bus: MemoryBus;
  readonly logLines: readonly {
    readonly level: string;
    readonly message: string;
    readonly fields: Readonly<Record<string, unknown>>;
  }[];
  /** Everything that was written to the gateways' topics, in order for each gateway. */
  readonly received: readonly ReceivedRecord[];
  /** A guest, since one costs no password hash. @returns the user id */
  person(nickname: string): Promise<string>;
  /** A group of all of them, the first as its owner. @returns its id */
  groupOf(...userIds: readonly [string, ...string[]]): Promise<string>;
  sendUpstream(...records: readonly MessageInitShape<typeof UpstreamRecordSchema>[]): Promise<void>;
  sendUserEvents(...events: readonly MessageInitShape<typeof UserEventSchema>[]): Promise<void>;
  sendBytes(topic: string, key: string, value: string): Promise<void>;
  /** Creates the topic of one more gateway and reads it. */
  addGateway(gatewayId: string): Promise<void>;
  /** All records so far that satisfy the condition, once there are `count` of them. */
  waitFor(count: number, condition: (received: ReceivedRecord) => boolean): Promise<DownstreamRecord[]>;
  /** Resolves when im-logic has dealt with all that was sent to it, and all that it wrote has been received. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

const upstream: Topic = { name: "upstream", partitions: 3 };
const userEvents: Topic = { name: "user-events", partitions: 2 };
const downstreamPrefix = "downstream-";
const markerKey = "the test has read up to here";

export function servicesOf(transport: Transport): Services {
  return {
    auth: createClient(AuthService, transport),
    user: createClient(UserService, transport),
    conversation: createClient(ConversationService, transport),
    message: createClient(MessageService, transport),
    group: createClient(GroupService, transport),
    friend: createClient(FriendService, transport),
    route: createClient(RouteService, transport),
  };
}

/** What a failed call said: code, reason, and the fields that were wrong. */
export async function failureOf(call: Promise<unknown>): Promise<{ code: Code; reason: string; fields: string[] }> {
  const error = await call.then(
    () => new Error("the call succeeded"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) {
    throw error;
  }
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field));
  return { code: error.code, reason: reasonOf(error), fields };
}

/** Polls until the condition holds; rejects after five seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) {
      throw new Error(`waited in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export async function startLogic(options: TestLogicOptions = {}): Promise<TestLogic> {
  const { bus = createMemoryBus(), gatewayIds = ["g1", "g2"], wrapProducer = (producer) => producer } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const { producer, consumer, ensureTopics } = bus.connect();
  const logLines: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = [];
  const log: Log = (level, message, fields = {}) => logLines.push({ level, message, fields });
  const received: ReceivedRecord[] = [];
  const readers: Promise<void>[] = [];
  const gateways: string[] = [];
  let markers = 0;
  let handled = 0;
  let sent = 0;

  async function addGateway(gatewayId: string): Promise<void> {
    const topic = { name: downstreamPrefix + gatewayId, partitions: 1 };
    await ensureTopics([topic], signal);
    gateways.push(gatewayId);
    readers.push(
      bus.connect().consumer.run({
        topics: [topic],
        groupId: topic.name,
        deliver: (records) => {
          for (const { key, headers, value } of records) {
            if (key === markerKey) {
              markers += 1;
              continue;
            }
            received.push({ gatewayId, key, headers, record: decodeRecord(DownstreamRecordSchema, value) });
          }
        },
        onReady: () => undefined,
        signal,
      }),
    );
  }

  await ensureTopics([upstream, userEvents], signal);
  for (const gatewayId of gatewayIds) {
    await addGateway(gatewayId);
  }

  const logic = createLogic({
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
    ...(options.now === undefined ? {} : { now: options.now }),
    ...(options.registry === undefined ? {} : { registry: options.registry }),
    ...(options.removeTopic === undefined ? {} : { removeTopic: options.removeTopic }),
    jwt: { secret, accessTokenTtlMs: 60_000, refreshTokenTtlMs: 600_000 },
    producer: wrapProducer(producer),
    consumer: {
      run: (subscription) =>
        consumer.run({
          ...subscription,
          deliver: async (records) => {
            await subscription.deliver(records);
            handled += records.length;
          },
        }),
    },
    topics: { upstream, userEvents, deadLetter: { name: "dead-letter", partitions: 1 }, downstreamPrefix },
    log,
  });
  const running = logic.run(signal);
  await until(() => logic.ready, "im-logic to be ready");
  const services = servicesOf(createRouterTransport(logic.routes));

  async function sendBytes(topic: string, key: string, value: string): Promise<void> {
    sent += 1;
    await producer.send({ topic, key, value: Buffer.from(value), headers: { traceparent: "00-trace" } });
  }

  return {
    ...services,
    logic,
    bus,
    logLines,
    received,
    async person(nickname) {
      const { user } = await services.auth.guest({ nickname });
      return user?.userId ?? "";
    },
    async groupOf(callerId, ...memberIds) {
      const { groupId } = await services.group.createGroup({ callerId, name: "a group", memberIds });
      return groupId;
    },
    async sendUpstream(...records) {
      for (const record of records) {
        const message = create(UpstreamRecordSchema, record);
        const value = Buffer.from(encodeRecord(UpstreamRecordSchema, message)).toString();
        await sendBytes(upstream.name, message.conversationId, value);
      }
    },
    async sendUserEvents(...events) {
      for (const event of events) {
        const message = create(UserEventSchema, event);
        const value = Buffer.from(encodeRecord(UserEventSchema, message)).toString();
        await sendBytes(userEvents.name, message.userId, value);
      }
    },
    sendBytes,
    addGateway,
    async waitFor(count, condition) {
      await until(() => received.filter(condition).length >= count, `${count} records`);
      return received.filter(condition).map(({ record }) => record);
    },
    async settled() {
      await until(() => handled >= sent, "im-logic to have dealt with everything");
      const expected = markers + gateways.length;
      for (const gatewayId of gateways) {
        await producer.send({ topic: downstreamPrefix + gatewayId, key: markerKey, value: new Uint8Array() });
      }
      await until(() => markers === expected, "everything to be received");
    },
    async stop() {
      stopping.abort();
      await Promise.all([running, ...readers]);
      logic.close();
    },
  };
}
