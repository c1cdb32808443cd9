// The control: a server without the library, as one would write it in an hour on the same ws and kafkajs, on the same partitions. One argument:
// JSON of ControlOptions. Prints `listening PORT`.
import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import { jwtVerify } from "jose";
import { Kafka, logLevel, type Message, Partitioners } from "kafkajs";
import { type WebSocket, WebSocketServer } from "ws";

export interface ControlOptions {
  readonly brokers: readonly string[];
  readonly secret: string;
  readonly downstream: string;
  readonly upstream: string;
  readonly partitions: number;
}

interface DownstreamRecord {
  readonly target_user_id?: string;
  readonly target_user_ids?: readonly string[];
  readonly message_id: string;
  readonly conversation_id: string;
  readonly sender_id: string;
  readonly message_type: number;
  readonly content: string;
  readonly seq_id: number;
  readonly timestamp: number;
}

interface ClientFrame {
  readonly message_id: string;
  readonly data: Pick<DownstreamRecord, "conversation_id" | "message_type" | "content"> & {
    readonly client_msg_id: string;
  };
}

const { brokers, secret, downstream, upstream, partitions }: ControlOptions = JSON.parse(process.argv[2] ?? "");
const kafka = new Kafka({ clientId: "control", brokers: [...brokers], logLevel: logLevel.ERROR });
const users = new Map<string, WebSocket>();

// Kafka → sockets.

function push(value: Buffer | null): void {
  const record: DownstreamRecord = JSON.parse(String(value));
  const { message_id, conversation_id, sender_id, message_type, content, seq_id, timestamp } = record;
  const data = { message_id, conversation_id, sender_id, message_type, content, seq_id, timestamp: timestamp * 1000 };
  const text = JSON.stringify({ type: "new-message", message_id: "", data, timestamp: Date.now() });
  for (const userId of record.target_user_ids ?? [record.target_user_id ?? ""]) users.get(userId)?.send(text);
}

const consumer = kafka.consumer({ groupId: downstream, maxWaitTimeInMs: 200, maxBytesPerPartition: 4 * 1024 * 1024 });
await consumer.connect();
await consumer.subscribe({ topics: [downstream], fromBeginning: true });
await consumer.run({
  eachBatch: async ({ batch }) => {
    for (const { value } of batch.messages) push(value);
  },
});

// Sockets → Kafka: one lane a partition, one batch in flight each, the next collected meanwhile.

interface Waiting {
  readonly message: Message;
  readonly stored: () => void;
}

const partitionOf = Partitioners.DefaultPartitioner();
const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => {
  return { partitionId, leader: 0, partitionErrorCode: 0, replicas: [], isr: [] };
});
const lanes = await Promise.all(partitionMetadata.map(({ partitionId }) => openLane(partitionId)));

async function openLane(partition: number): Promise<(message: Message, stored: () => void) => void> {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const waiting: Waiting[] = [];
  let sending = false;
  const sendAll = async (): Promise<void> => {
    sending = true;
    await Promise.resolve();
    while (waiting.length > 0) {
      const batch = waiting.splice(0, 500);
      await producer.send({ topic: upstream, messages: batch.map(({ message }) => ({ ...message, partition })) });
      for (const { stored } of batch) stored();
    }
    sending = false;
  };
  return (message, stored) => {
    waiting.push({ message, stored });
    if (!sending) void sendAll();
  };
}

function publish(socket: WebSocket, userId: string, { message_id, data: sent }: ClientFrame): void {
  const { conversation_id, message_type, content, client_msg_id } = sent;
  const trace_id = randomUUID();
  const record = {
    trace_id,
    user_id: userId,
    conversation_id,
    message_type,
    content,
    client_msg_id,
    timestamp: Date.now(),
  };
  const message = { key: conversation_id, value: JSON.stringify(record) };
  lanes[partitionOf({ topic: upstream, partitionMetadata, message })]?.(message, () => {
    const data = { client_msg_id, status: "accepted", trace_id };
    socket.send(JSON.stringify({ type: "message-ack", message_id, data, timestamp: Date.now() }));
  });
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("connection", async (socket, request) => {
  const token = new URL(request.url ?? "/", "ws://localhost").searchParams.get("token") ?? "";
  const { payload } = await jwtVerify(token, Buffer.from(secret));
  const userId = payload.sub ?? "";
  users.set(userId, socket);
  socket.on("close", () => users.delete(userId));
  socket.on("message", (data) => publish(socket, userId, JSON.parse(String(data))));
  socket.send(JSON.stringify({ type: "connected" }));
});
server.on("listening", () => console.log(`listening ${(server.address() as AddressInfo).port}`));
// A profile is written only by a process that ends by itself.
process.once("SIGTERM", () => process.exit());
