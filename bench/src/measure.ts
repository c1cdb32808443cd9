// One measurement: a fresh server, its clients, the warm-up, then the work, with the server's CPU time read before and after.
import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import type { Kafka } from "kafkajs";
import { connectClients } from "./clients.ts";
import { cpuTimeUs } from "./cpu-time.ts";
import { type Scenario, userId } from "./scenarios.ts";
import { downstreamTopic, type ServerName, startServer } from "./servers.ts";

export interface Sample {
  /** CPU time of the server's process, user and system, a unit of work. */
  readonly cpuUs: number;
  /** The load generator's own, not in `cpuUs`. */
  readonly generatorCpuUs: number;
  /** Of the frames that came, payload only: both servers are to send about the same. */
  readonly bytesPerUnit: number;
  /** Wall clock; other programs of the machine weigh on it. */
  readonly seconds: number;
  /** When the work began and ended, on the machine's monotonic clock. */
  readonly windowUs: readonly [from: number, to: number];
}

export interface MeasureOptions {
  readonly kafka: Kafka;
  readonly brokers: readonly string[];
  /** See ServerOptions. */
  readonly profileFolder?: string;
}

const receiveTimeoutMs = 60_000;
/** For what the warm-up leaves to do: its last commit, its acks' writes. */
const settleMs = 200;

export async function measure(server: ServerName, scenario: Scenario, options: MeasureOptions): Promise<Sample> {
  const { kafka, brokers, profileFolder } = options;
  const id = randomUUID();
  const secret = randomUUID() + randomUUID();
  await createTopic(kafka, downstreamTopic(id), 1);
  const work = await scenario.prepare(kafka, id);
  try {
    const running = await startServer(server, { brokers, secret, id, ...(profileFolder && { profileFolder }) });
    try {
      const tokens = await Promise.all(Array.from({ length: scenario.clients }, (_, client) => token(client, secret)));
      const clients = await connectClients({ port: running.port, tokens, timeoutMs: receiveTimeoutMs });
      try {
        await work.warmUp(clients);
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        const before = { server: cpuTimeUs(running.pid), own: process.cpuUsage(), bytes: clients.payloadBytes };
        const fromUs = monotonicUs();
        await work.run(clients);
        const toUs = monotonicUs();
        const own = process.cpuUsage(before.own);
        return {
          cpuUs: (cpuTimeUs(running.pid) - before.server) / scenario.units,
          generatorCpuUs: (own.user + own.system) / scenario.units,
          bytesPerUnit: (clients.payloadBytes - before.bytes) / scenario.units,
          seconds: (toUs - fromUs) / 1e6,
          windowUs: [fromUs, toUs],
        };
      } finally {
        clients.close();
      }
    } finally {
      await running.stop();
    }
  } finally {
    await work.close();
  }
}

/** With these partitions and the broker's defaults for all else. */
export async function createTopic(kafka: Kafka, topic: string, partitions: number): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 1 }] });
  } finally {
    await admin.disconnect();
  }
}

function token(client: number, secret: string): Promise<string> {
  return new SignJWT({ did: "bench" })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt" })
    .setSubject(userId(client))
    .setExpirationTime("1h")
    .sign(Buffer.from(secret));
}

function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
