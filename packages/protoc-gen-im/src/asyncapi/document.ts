// AsyncAPI 3: the frames of the WebSocket and the records on Kafka, as the gateway sees them.
import type { FileRegistry, JsonObject } from "@bufbuild/protobuf";
import { commentOf, inWords } from "../contract/comment.ts";
import { exampleOf } from "../contract/examples.ts";
import { type Frames, type FrameType, framesOf, type RecordType, recordsOf } from "../contract/frames.ts";
import { createSchemas, type Schemas } from "../contract/json-schema.ts";
import { closeCodes } from "./close-codes.ts";
import { deadLetterMessage } from "./dead-letter.ts";

const description = `Clients speak JSON text frames on the WebSocket, back ends JSON records on Kafka. The REST routes are in \`/openapi.json\`.

Field names are snake_case, ids are strings, 64-bit integers are JSON numbers up to 2^53, enums are numbers. Fields that are not known are ignored. \
A frame is \`{"type", "message_id", "data", "timestamp"}\`; an answer has the \`message_id\` of the frame that it answers, a push an empty one. \
Delivery is at least once: a receiver drops what it has by (conversation_id, seq_id).`;

export function asyncapi(contract: FileRegistry): JsonObject {
  const schemas = createSchemas(false);
  const frames = framesOf(contract);
  const records = recordsOf(contract);
  const pushed = new Set(pushes(frames));
  return {
    asyncapi: "3.0.0",
    info: { title: "im-gateway", version: "1", description, license: { name: "MIT" } },
    defaultContentType: "application/json",
    servers: {
      gateway: { host: "localhost:8080", protocol: "ws", description: "The gateway; wss behind TLS." },
      kafka: { host: "localhost:9092", protocol: "kafka", description: "`kafka.brokers`." },
    },
    channels: {
      socket: {
        address: "/ws",
        title: "WebSocket",
        description:
          "`GET /ws`, sub-protocol none or `im.v1.json`. The token comes as `?token=`, as `Authorization: Bearer`, as sub-protocol `bearer.<jwt>`, or in a first `auth` frame.",
        servers: [{ $ref: "#/servers/gateway" }],
        messages: Object.fromEntries(
          [...messageNames(frames)].map(([name]) => [name, { $ref: `#/components/messages/${name}` }]),
        ),
        bindings: {
          ws: { method: "GET", query: { type: "object", properties: { token: { type: "string" } } } },
        },
        "x-close-codes": closeCodes.map((row) => ({ ...row })),
      },
      ...Object.fromEntries(records.map((record) => [channelOf(record), recordChannel(record)])),
      "dead-letter": {
        address: "dead-letter",
        title: "dead-letter",
        description: "Records that nobody could read. Its name is configured.",
        servers: [{ $ref: "#/servers/kafka" }],
        messages: { DeadLetter: { $ref: "#/components/messages/DeadLetter" } },
      },
    },
    operations: {
      ...clientOperations(frames),
      push: {
        action: "send",
        channel: { $ref: "#/channels/socket" },
        title: "Push",
        summary: "What the server sends unasked.",
        messages: [...pushed].map((frame) => socketMessage(frame, "server")),
      },
      ...Object.fromEntries(records.map((record) => [operationOf(record), recordOperation(record)])),
      "send-dead-letter": {
        action: "send",
        channel: { $ref: "#/channels/dead-letter" },
        summary: "The record as it came.",
        messages: [{ $ref: "#/channels/dead-letter/messages/DeadLetter" }],
      },
    },
    components: {
      messages: {
        ...Object.fromEntries(
          [...messageNames(frames)].map(([name, { frame, side }]) => [
            name,
            frameMessage(name, frame, side, schemas, !pushed.has(frame)),
          ]),
        ),
        ...Object.fromEntries(records.map((record) => [record.message.name, recordMessage(record, schemas)])),
        DeadLetter: deadLetterMessage,
      },
      schemas: { ...schemas.components },
    },
  };
}

type Side = "client" | "server";

interface SidedFrame {
  readonly frame: FrameType;
  readonly side: Side;
}

/** `client.typing`, `server.typing`: both sides have a type of that name. */
function messageNames({ client, server }: Frames): ReadonlyMap<string, SidedFrame> {
  const named =
    (side: Side) =>
    (frame: FrameType): [string, SidedFrame] => [messageName(frame, side), { frame, side }];
  return new Map([...client.map(named("client")), ...server.map(named("server"))]);
}

function messageName({ type }: FrameType, side: Side): string {
  return `${side}.${type}`;
}

function socketMessage(frame: FrameType, side: Side): JsonObject {
  return { $ref: `#/channels/socket/messages/${messageName(frame, side)}` };
}

/** Those that answer nothing; some both answer and come unasked. */
function pushes({ client, server }: Frames): readonly FrameType[] {
  const onlyAnswers = new Set(client.flatMap(({ answers }) => answers));
  for (const both of ["connected", "error", "resync-required"]) {
    onlyAnswers.delete(both);
  }
  return server.filter(({ type }) => !onlyAnswers.has(type));
}

function clientOperations({ client, server }: Frames): JsonObject {
  return Object.fromEntries(
    client.map((frame) => [
      frame.type,
      {
        action: "receive",
        channel: { $ref: "#/channels/socket" },
        title: frame.type,
        ...(frame.comment === "" ? {} : { summary: frame.comment }),
        messages: [socketMessage(frame, "client")],
        ...(frame.answers.length === 0
          ? {}
          : {
              reply: {
                channel: { $ref: "#/channels/socket" },
                messages: server
                  .filter(({ type }) => frame.answers.includes(type))
                  .map((answer) => socketMessage(answer, "server")),
              },
            }),
      },
    ]),
  );
}

function frameMessage(name: string, frame: FrameType, side: Side, schemas: Schemas, hasId: boolean): JsonObject {
  const writer = side === "client" ? "client" : "us";
  return {
    name: frame.type,
    title: frame.type,
    ...(frame.comment === "" ? {} : { description: frame.comment }),
    payload: {
      type: "object",
      properties: {
        type: { type: "string", const: frame.type },
        message_id: {
          type: "string",
          description:
            side === "client"
              ? "Chosen by the client; the answer has the same."
              : "That of the frame that this one answers; empty on a push.",
        },
        data: schemas.message(frame.data, writer),
        timestamp: {
          type: "integer",
          description: `Unix milliseconds on the ${side === "client" ? "client" : "gateway"}'s clock.`,
        },
      },
      required: side === "client" ? ["type"] : ["type", "message_id", "data", "timestamp"],
    },
    examples: [
      {
        name,
        payload: {
          type: frame.type,
          message_id: hasId ? "f_1" : "",
          data: exampleOf(frame.data, writer),
          timestamp: 1_767_225_600_000,
        },
      },
    ],
  };
}

/** The channel's key: without the part that differs by gateway. */
function channelOf({ topic }: RecordType): string {
  return topic.replace(/-?\{.*$/, "");
}

function recordChannel(record: RecordType): JsonObject {
  const { topic, key, message } = record;
  const parameters = [...topic.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  return {
    address: topic,
    title: topic,
    description: `Key: \`${key}\`. ${commentOf(message)}`,
    servers: [{ $ref: "#/servers/kafka" }],
    messages: { [message.name]: { $ref: `#/components/messages/${message.name}` } },
    ...(parameters.length === 0
      ? {}
      : {
          parameters: Object.fromEntries(
            parameters.map((name) => [name, { description: "The id of the gateway that reads the topic." }]),
          ),
        }),
  };
}

/** The gateway reads the topics that have its id in their name, and writes the others. */
function isRead({ topic }: RecordType): boolean {
  return topic.includes("{gateway_id}");
}

function operationOf(record: RecordType): string {
  return `${isRead(record) ? "receive" : "send"}-${channelOf(record)}`;
}

function recordOperation(record: RecordType): JsonObject {
  const channel = `#/channels/${channelOf(record)}`;
  return {
    action: isRead(record) ? "receive" : "send",
    channel: { $ref: channel },
    summary: commentOf(record.message),
    messages: [{ $ref: `${channel}/messages/${record.message.name}` }],
  };
}

function recordMessage(record: RecordType, schemas: Schemas): JsonObject {
  const writer = isRead(record) ? "client" : "us";
  const { key, message } = record;
  return {
    name: message.name,
    title: inWords(message.name),
    description: commentOf(message),
    headers: {
      type: "object",
      properties: { traceparent: { type: "string", description: "W3C trace context." } },
    },
    payload: schemas.message(message, writer),
    bindings: { kafka: { key: { type: "string", description: `The record's \`${key}\`.` } } },
    examples: [{ name: message.name, payload: exampleOf(message, writer) }],
  };
}
