// Users, devices and conversations of a scenario, made over REST, and what im-logic has stored.
import { createHmac, randomUUID } from "node:crypto";
import type { Inbox, Stored } from "./inbox.ts";
import { jwtSecret } from "./world.ts";

export interface User {
  readonly userId: string;
  readonly token: string;
}

const requestTimeoutMs = 15_000;
const makingAtOnce = 20;
const pageSize = 100;

/** One REST request below `/api/v1`. @param base `http://host:port` @throws Error with the answer when its status is not 2xx */
export async function rest(
  base: string,
  method: string,
  path: string,
  { token, body }: { readonly token?: string; readonly body?: unknown } = {},
): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(`${base}/api/v1${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(requestTimeoutMs),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
  return JSON.parse(text);
}

/** Guests: no password has to be hashed. */
export async function createUsers(base: string, count: number): Promise<readonly User[]> {
  const users: User[] = [];
  while (users.length < count) {
    const some = Array.from({ length: Math.min(makingAtOnce, count - users.length) }, async () => {
      const { user, access_token } = await rest(base, "POST", "/auth/guest", { body: {} });
      return { userId: String((user as { user_id: unknown }).user_id), token: String(access_token) };
    });
    users.push(...(await Promise.all(some)));
  }
  return users;
}

/** An access token of the user for a device of its own, signed with the worlds' secret. */
export function deviceToken(userId: string, deviceId: string = randomUUID()): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: userId, sid: randomUUID(), did: deviceId, jti: randomUUID(), iat: now, exp: now + 86_400 };
  const signed = [{ alg: "HS256", typ: "at+jwt" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${signed}.${createHmac("sha256", jwtSecret).update(signed).digest("base64url")}`;
}

/** A group of them, the first its owner; its conversation_id. */
export async function createGroup(base: string, [owner, ...others]: readonly User[]): Promise<string> {
  if (owner === undefined) throw new Error("a group needs an owner");
  const { group_id } = await rest(base, "POST", "/groups", {
    token: owner.token,
    body: { name: "group", member_ids: others.map(({ userId }) => userId) },
  });
  return String(group_id);
}

/** What im-logic has of the conversation after `afterSeqId`. */
export async function historyOf(
  base: string,
  token: string,
  conversationId: string,
  afterSeqId = 0,
): Promise<readonly Stored[]> {
  const found: Stored[] = [];
  for (;;) {
    const after = found.at(-1)?.seqId ?? afterSeqId;
    const path = `/conversations/${conversationId}/messages?after_seq_id=${after}&page_size=${pageSize}`;
    const { messages, has_more } = await rest(base, "GET", path, { token });
    for (const { seq_id, client_msg_id } of messages as readonly Readonly<Record<string, unknown>>[]) {
      found.push({ conversationId, seqId: Number(seq_id), clientMsgId: String(client_msg_id) });
    }
    if (has_more !== true) return found;
  }
}

/** A client's `fetchMissed`: what the inbox lacks of the conversations, those it is in when none is named. */
export function fetcher(
  base: () => string,
  token: string,
  all: readonly string[],
): (named: readonly string[], inbox: Inbox) => Promise<void> {
  return async (named, inbox) => {
    for (const conversationId of named.length === 0 ? all : named) {
      const after = inbox.cursors()[conversationId] ?? 0;
      const stored = await historyOf(base(), token, conversationId, after);
      inbox.fill(
        conversationId,
        stored.map(({ seqId }) => seqId),
      );
    }
  };
}
