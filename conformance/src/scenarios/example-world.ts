// What the examples of the document speak of, made for one operation: alice, who calls, bob, their group and its message.
import { randomUUID } from "node:crypto";
import { waitFor } from "@im-gateway/tools/process";
import { asRecord, asRecords, rest, type User } from "../client.ts";
import type { Caller, Operation } from "../documents.ts";
import { password } from "../output.ts";
import type { GatewayAddress } from "../world.ts";

/** Operations on somebody who is a friend already. */
const amongFriends = ["FriendService_DeleteFriend", "FriendService_BlockFriend", "FriendService_UnblockFriend"];

interface Guest {
  readonly userId: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

export interface ExampleWorld extends Caller {
  readonly bobsToken: string;
}

/** Makes what the operation's example names, each time anew. */
export async function given(gateway: GatewayAddress, alice: User, operation: Operation): Promise<ExampleWorld> {
  const spoken = JSON.stringify([operation.parameters, operation.body]);
  const bob = await guest(gateway);
  const replace = new Map([
    ["u_bob", bob.userId],
    ["u_alice", alice.userId],
    ["alice", operation.id === "AuthService_Login" ? alice.username : `alice-${randomUUID().slice(0, 8)}`],
    ["correct horse battery", password],
    ["0198c0de-7a11-7000-8000-000000000001", randomUUID()],
  ]);
  if (spoken.includes('"refresh_token"')) {
    replace.set(String(asRecord(operation.body).refresh_token), bob.refreshToken);
  }
  if (spoken.includes('"c_team"')) {
    const group = await made(gateway, alice, "/groups", { name: "Team", member_ids: [bob.userId] });
    const conversationId = String(group.conversation_id);
    replace.set("c_team", conversationId);
    replace.set("m_1", await message(gateway, alice, conversationId));
  }
  if (spoken.includes('"r_1"') || amongFriends.includes(operation.id)) {
    const request = await made(gateway, bob, "/friends/requests", { user_id: alice.userId });
    replace.set("r_1", String(request.request_id));
    if (amongFriends.includes(operation.id)) {
      await made(gateway, alice, `/friends/requests/${String(request.request_id)}:accept`, {});
    }
  }
  return { token: alice.accessToken, bobsToken: bob.accessToken, replace };
}

async function guest(gateway: GatewayAddress): Promise<Guest> {
  const { body } = await rest(gateway, "POST", "/auth/guest", { body: { device_id: "d_phone" } });
  return {
    userId: String(asRecord(body.user).user_id),
    accessToken: String(body.access_token),
    refreshToken: String(body.refresh_token),
  };
}

/** Sends one, and waits until it can be read; its id. */
async function message(gateway: GatewayAddress, user: Guest, conversationId: string): Promise<string> {
  const path = `/conversations/${conversationId}/messages`;
  await made(gateway, user, path, { message_type: 1, content: "Hello, world!", client_msg_id: randomUUID() });
  return waitFor(
    async () => {
      const { body } = await rest(gateway, "GET", path, { token: user.accessToken });
      return asRecords(body.messages).find(({ content }) => content === "Hello, world!")?.message_id;
    },
    { timeoutMs: 10_000, what: "the message in its conversation" },
  ).then(String);
}

async function made(
  gateway: GatewayAddress,
  { accessToken }: Guest,
  path: string,
  body: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, unknown>>> {
  const answer = await rest(gateway, "POST", path, { token: accessToken, body });
  if (answer.status >= 300) {
    throw new Error(`POST ${path} answered ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  return answer.body;
}
