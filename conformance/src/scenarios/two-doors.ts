// The same request over REST and by a `call` frame: the same answer, the same refusal.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  asRecord,
  asRecords,
  type ChatSocket,
  connect,
  direct,
  password,
  register,
  rest,
  type User,
} from "../client.ts";
import type { GatewayAddress, World } from "../world.ts";

type Json = Readonly<Record<string, unknown>>;

/** What can be said of an answer through either door. */
interface Outcome {
  readonly code: string;
  readonly reason?: unknown;
  readonly message?: unknown;
  readonly violations?: unknown;
  readonly body?: Json;
}

interface Scene {
  readonly alice: User;
  readonly bob: User;
  readonly stranger: User;
  readonly conversation: string;
}

/** Method, verb and path, what the path does not say, and what comes of it. Paths and requests may name what is in the scene. */
type Case = readonly [
  name: string,
  method: string,
  verb: string,
  path: (scene: Scene) => string,
  /** Of the call: also what the path says. */
  inPath: (scene: Scene) => Json,
  request: (scene: Scene) => Json,
  expected: string,
];

const none = (): Json => ({});
const conversation = ({ conversation: conversation_id }: Scene): Json => ({ conversation_id });

const cases: readonly Case[] = [
  ["an answer", "UserService/GetMe", "GET", () => "/users/me", none, none, "ok"],
  [
    "a field of the path",
    "UserService/GetUser",
    "GET",
    ({ bob }) => `/users/${bob.userId}`,
    ({ bob }) => ({ user_id: bob.userId }),
    none,
    "ok",
  ],
  [
    "fields of the query",
    "ConversationService/ListConversations",
    "GET",
    () => "/conversations",
    none,
    () => ({ page_size: 1 }),
    "ok",
  ],
  [
    "a field in lowerCamelCase",
    "ConversationService/ListConversations",
    "GET",
    () => "/conversations",
    none,
    () => ({ pageSize: 1 }),
    "ok",
  ],
  [
    "a change",
    "UserService/UpdateMe",
    "PATCH",
    () => "/users/me",
    none,
    () => ({ nickname: "Alice the Second" }),
    "ok",
  ],
  [
    "an enum by its name",
    "ConversationService/CreateConversation",
    "POST",
    () => "/conversations",
    none,
    ({ bob }) => ({ type: "CONVERSATION_TYPE_DIRECT", member_ids: [bob.userId] }),
    "ok",
  ],
  [
    "a method for anyone",
    "AuthService/Login",
    "POST",
    () => "/auth/login",
    none,
    ({ bob }) => ({ username: bob.username, password: "not the password" }),
    "unauthenticated",
  ],
  [
    "a message",
    "MessageService/SendMessage",
    "POST",
    ({ conversation: id }) => `/conversations/${id}/messages`,
    conversation,
    () => ({ message_type: 1, content: "through a door", client_msg_id: randomUUID() }),
    "ok",
  ],
  [
    "who is not there",
    "UserService/GetUser",
    "GET",
    () => "/users/nobody",
    () => ({ user_id: "nobody" }),
    none,
    "not_found",
  ],
  [
    "what the caller may not see",
    "ConversationService/GetConversation",
    "GET",
    () => "/conversations/none-of-mine",
    () => ({ conversation_id: "none-of-mine" }),
    none,
    "not_found",
  ],
  [
    "what the back end refuses",
    "GroupService/GetGroup",
    "GET",
    ({ conversation: id }) => `/groups/${id}`,
    ({ conversation: group_id }) => ({ group_id }),
    none,
    "failed_precondition",
  ],
  [
    "what is required and missing",
    "ConversationService/MarkRead",
    "PUT",
    ({ conversation: id }) => `/conversations/${id}/read`,
    conversation,
    none,
    "invalid_argument",
  ],
  [
    "what breaks a rule",
    "AuthService/Register",
    "POST",
    () => "/auth/register",
    none,
    () => ({ username: "x".repeat(65), password: "short" }),
    "invalid_argument",
  ],
  [
    "what breaks a rule in lowerCamelCase",
    "AuthService/Register",
    "POST",
    () => "/auth/register",
    none,
    () => ({ username: "x", password, deviceId: "d".repeat(129) }),
    "invalid_argument",
  ],
  [
    "several bad fields",
    "ConversationService/CreateConversation",
    "POST",
    () => "/conversations",
    none,
    () => ({ type: "two", member_ids: [1.5, null], name: 7, colour: "red" }),
    "invalid_argument",
  ],
  [
    "the caller's own id",
    "ConversationService/CreateConversation",
    "POST",
    () => "/conversations",
    none,
    ({ alice, bob }) => ({ caller_id: alice.userId, type: 1, member_ids: [bob.userId] }),
    "invalid_argument",
  ],
  [
    "an empty caller",
    "UserService/UpdateMe",
    "PATCH",
    () => "/users/me",
    none,
    () => ({ callerId: "", nickname: "x" }),
    "invalid_argument",
  ],
  [
    "a field twice",
    "UserService/UpdateMe",
    "PATCH",
    () => "/users/me",
    none,
    () => ({ avatar_url: "", avatarUrl: "" }),
    "invalid_argument",
  ],
  [
    "an integer over 2^53",
    "ConversationService/MarkRead",
    "PUT",
    ({ conversation: id }) => `/conversations/${id}/read`,
    conversation,
    () => ({ seq_id: "9007199254740993" }),
    "invalid_argument",
  ],
];

export function twoDoorScenarios(world: () => World): void {
  const gateway = (): GatewayAddress => world().gateways[0];

  describe("REST and call", () => {
    let scene: Scene;
    let socket: ChatSocket;
    beforeAll(async () => {
      const [alice, bob, stranger] = await Promise.all(
        ["alice", "bob", "stranger"].map((name) => register(gateway(), name)),
      );
      if (alice === undefined || bob === undefined || stranger === undefined) {
        throw new Error("three were registered");
      }
      scene = { alice, bob, stranger, conversation: await direct(gateway(), alice, bob) };
      socket = await connect(gateway(), alice);
    });
    afterAll(() => socket.close());

    test.each(cases)("%s", async (_name, method, verb, path, inPath, request, expected) => {
      // Made for each door: a message that came twice would be a duplicate.
      const byRest = await overRest(gateway(), scene.alice, verb, path(scene), request(scene));
      const byCall = await overCall(socket, method, { ...inPath(scene), ...request(scene) });
      expect(byRest.code).toBe(expected);
      expect(byCall).toEqual(byRest);
    });

    test.each([
      ["a method that is none", { method: "im.logic.v1.UserService/Nothing" }, "unimplemented", "UNKNOWN_METHOD"],
      ["a stream", { method: "im.logic.v1.MessageService/ExportMessages" }, "unimplemented", "STREAMING_METHOD"],
      ["no method", {}, "invalid_argument", "INVALID_FIELD"],
      ["no time", { method: "im.logic.v1.UserService/GetMe", timeout_ms: 0 }, "invalid_argument", "INVALID_FIELD"],
    ])("a call of %s is refused", async (_name, data, code, reason) => {
      const id = socket.send("call", data);
      expect((await socket.next("error", (frame) => frame.message_id === id)).data).toMatchObject({ code, reason });
    });
  });
}

async function overRest(
  gateway: GatewayAddress,
  user: User,
  verb: string,
  path: string,
  request: Json,
): Promise<Outcome> {
  const query = new URLSearchParams(Object.entries(request).map(([key, value]) => [key, String(value)]));
  const sent = verb === "GET" ? `${path}?${query}` : path;
  const answer = await rest(gateway, verb, sent, {
    token: user.accessToken,
    ...(verb === "GET" ? {} : { body: request }),
  });
  return answer.status < 300 ? { code: "ok", body: comparable(answer.body) } : refusal(answer.body);
}

async function overCall(socket: ChatSocket, method: string, request: Json): Promise<Outcome> {
  const id = socket.send("call", { method: `im.logic.v1.${method}`, request });
  const answered = (): Promise<Outcome> =>
    socket
      .next("reply", (frame) => frame.message_id === id)
      .then(({ data }) => ({ code: "ok", body: comparable(asRecord(data.response)) }));
  const refused = (): Promise<Outcome> =>
    socket.next("error", (frame) => frame.message_id === id).then(({ data }) => refusal(data));
  return Promise.any([answered(), refused()]);
}

function refusal(body: Json): Outcome {
  const details = asRecords(body.details);
  return {
    code: String(body.code),
    message: body.message,
    reason: details.find(({ reason }) => reason !== undefined)?.reason,
    violations: details.flatMap((detail) => detail.field_violations ?? []),
  };
}

/** Without what differs from call to call. */
function comparable({ trace_id, client_msg_id, ...body }: Json): Json {
  return body;
}
