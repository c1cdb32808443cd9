// What is measured: three kinds of work, each let loose at once on a server that has all its clients.
import type { Kafka, Message } from "kafkajs";
import { type Backlog, writeBacklog } from "./backlog.ts";
import { type Clients, numberedFrames } from "./clients.ts";
import { downstreamTopic } from "./servers.ts";

export type ScenarioName = "users" | "fan-out" | "upstream";

export interface Scenario {
  readonly name: ScenarioName;
  /** As the table says it. */
  readonly title: string;
  /** What one unit of the work is: "delivery", "ack". */
  readonly unit: string;
  /** The gateway's CPU time a unit, as a part of the control's, is to be at most this. */
  readonly goal: number;
  readonly clients: number;
  /** Units done before anything is measured, so that both servers' code is compiled. */
  readonly warmUpUnits: number;
  readonly units: number;
  /** Before the server starts; its downstream topic is there. */
  prepare(kafka: Kafka, id: string): Promise<Work>;
}

/** The work for one life of a server. */
export interface Work {
  /** Resolves when the clients have got all of it. */
  warmUp(clients: Clients): Promise<void>;
  run(clients: Clients): Promise<void>;
  close(): Promise<void>;
}

/** Of a message. */
const content = "x".repeat(40);

export const scenarios: readonly Scenario[] = [
  downstream({
    name: "users",
    title: "Kafka → sockets, a record a user",
    goal: 0.7,
    clients: 1000,
    warmUpRecords: 20_000,
    records: 100_000,
    usersPerRecord: 1,
  }),
  downstream({
    name: "fan-out",
    title: "Kafka → sockets, one record to 1,000 users",
    goal: 0.3,
    clients: 1000,
    warmUpRecords: 100,
    records: 400,
    usersPerRecord: 1000,
  }),
  upstream({ clients: 200, inFlight: 2, warmUpUnits: 30_000, units: 100_000 }),
];

export function userId(client: number): string {
  return uuid("aaaa", client);
}

/** As long as the ids that im-logic makes, and as dense in digits. */
function uuid(kind: string, index: number): string {
  return `5b1e7c3d-${kind}-4f6a-9c2e-${String(index).padStart(12, "0")}`;
}

interface DownstreamOptions extends Pick<Scenario, "name" | "title" | "goal" | "clients"> {
  readonly warmUpRecords: number;
  readonly records: number;
  readonly usersPerRecord: number;
}

function downstream({ warmUpRecords, records, usersPerRecord, ...scenario }: DownstreamOptions): Scenario {
  const userIds = Array.from({ length: scenario.clients }, (_, client) => userId(client));

  // One user after the other: the longest way until the same one has its turn again, so the least to gather.
  function record(index: number): Message {
    const [user, ...others] = Array.from({ length: usersPerRecord }, (_, n) => userIds[(index + n) % userIds.length]);
    const conversation = uuid("cccc", index % scenario.clients);
    const value = JSON.stringify({
      trace_id: "0af7651916cd43dd8448eb211c80319c",
      ...(others.length === 0 ? { target_user_id: user } : { target_user_ids: [user, ...others] }),
      message_id: uuid("dddd", index),
      conversation_id: conversation,
      sender_id: userId(0),
      message_type: 1,
      content,
      seq_id: index,
      timestamp: 1_790_000_000,
      headers: {},
    });
    return { key: conversation, value };
  }

  return {
    ...scenario,
    unit: "delivery",
    warmUpUnits: warmUpRecords * usersPerRecord,
    units: records * usersPerRecord,
    async prepare(kafka, id) {
      const recordsPerRequest = usersPerRecord === 1 ? 500 : 10;
      const write = (count: number): Promise<Backlog> =>
        writeBacklog({ kafka, topic: downstreamTopic(id), records: count, recordsPerRequest, record });
      const first = await write(warmUpRecords);
      const second = await write(records);
      const release = async (backlog: Backlog, clients: Clients, count: number): Promise<void> => {
        const received = clients.receive("new-message", count * usersPerRecord);
        await Promise.all([backlog.release(), received]);
      };
      return {
        warmUp: (clients) => release(first, clients, warmUpRecords),
        run: (clients) => release(second, clients, records),
        async close() {
          await Promise.all([first.close(), second.close()]);
        },
      };
    },
  };
}

interface UpstreamOptions extends Pick<Scenario, "clients" | "warmUpUnits" | "units"> {
  /** Messages that a client sends before it waits for an ack. */
  readonly inFlight: number;
}

function upstream({ inFlight, ...scenario }: UpstreamOptions): Scenario {
  const clientMsgId = uuid("eeee", 0);
  const frames = Array.from({ length: scenario.clients }, (_, client) => {
    const data = {
      conversation_id: uuid("cccc", client),
      message_type: 1,
      content,
      client_msg_id: clientMsgId,
    };
    return numberedFrames(JSON.stringify({ type: "send-message", message_id: "1", data }), clientMsgId);
  });

  return {
    ...scenario,
    name: "upstream",
    title: "sockets → Kafka, acked",
    unit: "ack",
    goal: 1.2,
    async prepare() {
      let messages = 0;
      const exchange = async (clients: Clients, count: number): Promise<void> => {
        let left = count;
        const send = (client: number): void => {
          const next = frames[client];
          if (left === 0 || next === undefined) return;
          left -= 1;
          messages += 1;
          clients.send(client, next(messages));
        };
        const acked = clients.receive("message-ack", count, send);
        for (let client = 0; client < clients.size; client += 1) for (let n = 0; n < inFlight; n += 1) send(client);
        await acked;
      };
      return {
        warmUp: (clients) => exchange(clients, scenario.warmUpUnits),
        run: (clients) => exchange(clients, scenario.units),
        close: async () => {},
      };
    },
  };
}
