// Messages at a steady rate, and the chat that most scenarios run under.
import { waitFor } from "@im-gateway/tools/process";
import type { Accounted } from "./account.ts";
import { type Client, createClient } from "./clients.ts";
import { settle } from "./evidence.ts";
import { createInbox, type Inbox } from "./inbox.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import { createGroup, createUsers, deviceToken, fetcher, type User } from "./people.ts";
import type { Context } from "./scenario.ts";
import type { Brokers, World } from "./world.ts";

export interface Load {
  /** Sends no more. */
  stop(): void;
}

const tickMs = 10;

/** Calls `send` with 0, 1, 2, … so often a second, in small bursts; what a stalled process was late with is caught up at once. */
export function startLoad(perSecond: number, send: (index: number) => void): Load {
  const startedMs = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) * perSecond) / 1000);
    while (sent < due) {
      send(sent);
      sent += 1;
    }
  }, tickMs);
  return { stop: () => clearInterval(timer) };
}

export interface ChatOptions {
  /** Groups; each has a sender on one socket and `receivers` on others, all different users. Default 20. */
  readonly groups?: number;
  /** Default 1. */
  readonly receivers?: number;
  /** Where clients connect, asked at each attempt. Default: all of the world's gateways. */
  readonly gateways?: () => readonly string[];
  /** Default: the first gateway. For REST. */
  readonly base?: () => string;
}

export interface Chat {
  readonly ledger: Ledger;
  readonly clients: readonly Client[];
  readonly senders: readonly Client[];
  readonly receivers: readonly Client[];
  readonly conversations: ReadonlyMap<string, User>;
  /** All groups in turn, until it is stopped. */
  start(perSecond: number): Load;
  /** After the load was stopped: waits for what is still on its way, and accounts for it. */
  settle(timeoutMs?: number): Promise<Accounted>;
}

interface Lane {
  readonly conversationId: string;
  readonly sender: Client;
  readonly members: readonly {
    readonly client: Client;
    readonly fetchMissed: (named: readonly string[], inbox: Inbox) => Promise<void>;
  }[];
}

/** Resolves when all are connected and im-logic has delivered a first message to each. */
export async function startChat(context: Context, world: World<Brokers>, options: ChatOptions = {}): Promise<Chat> {
  const { groups = 20, receivers: receiversEach = 1 } = options;
  const gateways = options.gateways ?? (() => world.gateways.map(({ address }) => address.ws));
  const base = options.base ?? (() => world.gateways[0]?.address.http ?? "");
  const ledger = createLedger();
  const users = await createUsers(base(), groups * (1 + receiversEach));
  const conversations = new Map<string, User>();
  const senders: Client[] = [];
  const receivers: Client[] = [];
  const lanes: Lane[] = [];
  for (let group = 0; group < groups; group += 1) {
    const members = users.slice(group * (1 + receiversEach), (group + 1) * (1 + receiversEach));
    const conversationId = await createGroup(base(), members);
    const own = members.map(({ userId }, index) => {
      const token = deviceToken(userId);
      const name = index === 0 ? `sender-${group}` : `receiver-${group}-${index}`;
      const inbox = createInbox(name, [conversationId]);
      const fetchMissed = fetcher(base, token, [conversationId]);
      return { client: createClient({ name, token, gateways, ledger, inbox, fetchMissed }), fetchMissed };
    });
    const [sender, ...others] = own.map(({ client }) => client);
    const [owner] = members;
    if (sender === undefined || owner === undefined) throw new Error("a group needs a sender");
    conversations.set(conversationId, owner);
    senders.push(sender);
    receivers.push(...others);
    lanes.push({ conversationId, sender, members: own });
  }
  const clients = [...senders, ...receivers];
  context.defer(async () => {
    await Promise.all(clients.map((client) => client.close()));
  });
  await waitFor(() => clients.every(({ connectedTo }) => connectedTo !== undefined), {
    timeoutMs: 30_000,
    what: "every client to be connected",
  });
  await Promise.all(lanes.map((lane) => warmUp(lane, ledger)));
  return {
    ledger,
    clients,
    senders,
    receivers,
    conversations,
    start(perSecond) {
      return startLoad(perSecond, (index) => {
        const lane = lanes[index % lanes.length];
        lane?.sender.send(lane.conversationId);
      });
    },
    settle: (timeoutMs) =>
      settle({
        brokers: world.kafka.brokers,
        base: base(),
        ledger,
        conversations,
        clients,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
  };
}

/** Until im-logic knows where somebody is, a message waits for that user in the history: sends until one reaches everybody. */
async function warmUp({ conversationId, sender, members }: Lane, ledger: Ledger): Promise<void> {
  let head = 0;
  const reached = async (): Promise<boolean> => {
    sender.send(conversationId);
    head += 1;
    await waitFor(() => members.every(({ client }) => client.inbox.has(conversationId, head)), {
      timeoutMs: 1000,
      what: "a delivery to everybody",
    });
    return true;
  };
  await waitFor(reached, {
    timeoutMs: 30_000,
    what: `a message of ${sender.name} to reach everybody (${ledger.pending} not acked)`,
  });
  for (const { client, fetchMissed } of members) await fetchMissed([], client.inbox);
}
