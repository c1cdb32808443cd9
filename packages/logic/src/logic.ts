// The reference im-logic: all parts put together. The same code runs inside a gateway's process and as a service of its own.
import type { ConnectRouter } from "@connectrpc/connect";
import type { TokenOptions } from "@im-gateway/adapters/command";
import {
  type Consumer,
  type ConsumerRecord,
  createDeadLetters,
  type Log,
  type Producer,
  type Registry,
  type Topic,
} from "@im-gateway/core";
import {
  AuthService,
  ConversationService,
  FriendService,
  GroupService,
  MessageService,
  RouteService,
  UserService,
} from "@im-gateway/proto";
import { createAccounts } from "./accounts.ts";
import { createAnnouncements } from "./announcements.ts";
import { createBlocks } from "./blocks.ts";
import { createConversations } from "./conversations.ts";
import { type Counts, createCounts } from "./counts.ts";
import { createDownstream } from "./downstream.ts";
import { errorBoundary } from "./error-boundary.ts";
import { createFriends } from "./friends.ts";
import { createGatewayKeys } from "./gateway-keys.ts";
import { createGroups } from "./groups.ts";
import { createMembers } from "./members.ts";
import { createMessages } from "./messages.ts";
import { createNotices } from "./notices.ts";
import { createOnlineStatus } from "./online-status.ts";
import { createOutbox } from "./outbox.ts";
import { createPoison } from "./poison.ts";
import { createPresences } from "./presences.ts";
import { createRecalls } from "./recalls.ts";
import { createRecent } from "./recent.ts";
import { createResume } from "./resume.ts";
import { createRevocations } from "./revocations.ts";
import { createRoutes } from "./routes.ts";
import { createSearch } from "./search.ts";
import { createAuthService } from "./services/auth-service.ts";
import { createConversationService } from "./services/conversation-service.ts";
import { createFriendService } from "./services/friend-service.ts";
import { createGroupService } from "./services/group-service.ts";
import { createMessageService } from "./services/message-service.ts";
import { createRouteService } from "./services/route-service.ts";
import { createUserService } from "./services/user-service.ts";
import { createSessions } from "./sessions.ts";
import { openStore } from "./store.ts";
import { createSync } from "./sync.ts";
import { createTokens } from "./tokens.ts";
import { createUpstream } from "./upstream.ts";
import { createUserEvents } from "./user-events.ts";

export interface LogicOptions {
  /** The folder of `im-logic.sqlite`, made when absent. Default: everything is kept in memory. */
  readonly dataDir?: string;
  readonly jwt: TokenOptions;
  readonly producer: Producer;
  readonly consumer: Consumer;
  readonly topics: {
    readonly upstream: Topic;
    readonly userEvents: Topic;
    readonly deadLetter: Topic;
    /** A gateway's topic is this and its id. */
    readonly downstreamPrefix: string;
  };
  /**
   * Where the gateways have their keys. Without one nobody sees a gateway die: its routes end with its own events only, and its topic stays.
   */
  readonly registry?: Pick<Registry, "watch">;
  /** Deletes a topic; resolves as well when there is none. Default: topics stay. */
  readonly removeTopic?: (name: string, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
  /** Unix milliseconds. Default: the system's clock. */
  readonly now?: () => number;
}

export interface DemoAccount {
  readonly username: string;
  readonly password: string;
}

export interface Logic {
  /** Registers all services. What goes wrong inside is logged and answered as "internal error". */
  readonly routes: (router: ConnectRouter) => void;
  /** Consumes `upstream` and `user-events` as the group im-logic until the signal aborts. Rejects only on what can never work. */
  run(signal: AbortSignal): Promise<void>;
  /** The consumer receives. */
  readonly ready: boolean;
  readonly counts: Readonly<Counts>;
  /** Makes alice and bob where they are absent. */
  createDemoAccounts(): Promise<readonly DemoAccount[]>;
  /** Lets go of the database; after `run` has resolved. */
  close(): void;
}

const demoAccounts: readonly DemoAccount[] = [
  { username: "alice", password: "password123" },
  { username: "bob", password: "password123" },
];

/** @throws Error when the database cannot be opened, or was written by a newer version */
export function createLogic(options: LogicOptions): Logic {
  const { producer, consumer, topics, registry, removeTopic, log, now = Date.now } = options;
  const store = openStore(options.dataDir);
  const counts = createCounts();
  const accounts = createAccounts(store, now);
  const members = createMembers(store, now);
  const messages = createMessages(store, now);
  const conversations = createConversations(store, members, now);
  const blocks = createBlocks(store, now);
  const friends = createFriends(store, accounts, blocks, now);
  const groups = createGroups(store, accounts, members, conversations);
  const announcements = createAnnouncements(store, now);
  const routes = createRoutes(store, announcements);
  const presences = createPresences(store, now);
  const recent = createRecent();
  const outbox = createOutbox(store, now);
  const topicPrefix = topics.downstreamPrefix;
  const onLoss = (gatewayId: string): void => revocations.tellAgain(gatewayId);
  const downstream = createDownstream({ producer, topicPrefix, outbox, onLoss, log, counts });
  const { accessTokenTtlMs } = options.jwt;
  const revocations = createRevocations({ store, downstream, accessTokenTtlMs, log, now });
  const sessions = createSessions(store, createTokens(options.jwt, now), revocations.revoke, now);
  const onlineStatus = createOnlineStatus({ store, announcements, presences, downstream, log, now });
  const gatewayKeys =
    registry &&
    createGatewayKeys({ store, routes, registry, downstream, revocations, removeTopic, topicPrefix, log, now });
  const notices = createNotices(routes, downstream);
  let stopped = new AbortController().signal;
  const deadLetters = createDeadLetters({
    send: producer.send,
    topic: topics.deadLetter.name,
    stopped: () => stopped,
    log,
  });
  const poison = createPoison(deadLetters, log, counts);
  const flow = { store, members, blocks, messages, routes, recent, downstream, poison, log, counts, now };
  const deliverUpstream = createUpstream(flow);
  const deliverUserEvents = createUserEvents(flow);
  let ready = false;

  function deliver(records: readonly ConsumerRecord[]): Promise<void> {
    return records[0]?.topic === topics.userEvents.name ? deliverUserEvents(records) : deliverUpstream(records);
  }

  return {
    routes(router) {
      const shared = { interceptors: [errorBoundary(log)] };
      const sync = createSync(store, conversations, messages);
      const recalls = createRecalls(store, members, messages, now);
      const parts = { accounts, blocks, members, conversations, groups, sync, notices };
      const messageParts = { members, messages, recalls, search: createSearch(store), notices };
      router
        .service(AuthService, createAuthService(accounts, sessions), shared)
        .service(UserService, createUserService(accounts, presences), shared)
        .service(ConversationService, createConversationService(parts), shared)
        .service(MessageService, createMessageService(messageParts), shared)
        .service(FriendService, createFriendService(friends), shared)
        .service(GroupService, createGroupService(parts), shared)
        .service(RouteService, createRouteService(createResume(store, routes, recent, messages), now), shared);
    },

    async run(signal) {
      stopped = signal;
      const consuming = new AbortController();
      const ended = AbortSignal.any([signal, consuming.signal]);
      const others = [downstream.run(ended), onlineStatus.run(ended), gatewayKeys?.run(ended)];
      revocations.tellUntold();
      try {
        await consumer.run({
          topics: [topics.upstream, topics.userEvents],
          alsoCreate: [topics.deadLetter],
          groupId: "im-logic",
          deliver,
          onReady: (receives) => {
            ready = receives;
          },
          signal,
        });
      } finally {
        ready = false;
        consuming.abort();
        await Promise.all(others);
      }
    },

    get ready() {
      return ready;
    },

    counts,

    async createDemoAccounts() {
      for (const { username, password } of demoAccounts) {
        if (!accounts.exists(username)) {
          await accounts.register(username, password, username);
        }
      }
      return demoAccounts;
    },

    close: store.close,
  };
}
