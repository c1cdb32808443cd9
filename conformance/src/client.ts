// A chat client for the scenarios: plain fetch and a WebSocket, so that nothing of the product tests itself.
import { randomUUID } from "node:crypto";
import { waitFor } from "@im-gateway/tools/process";
import { WebSocket } from "ws";
import { contentMark, keepSecret, password } from "./output.ts";
import type { GatewayAddress } from "./world.ts";

const deadlineMs = 10_000;

export interface Frame {
  readonly type: string;
  readonly message_id: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly timestamp: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface User {
  readonly userId: string;
  readonly username: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

export { password } from "./output.ts";

/** One REST request; `path` is below `/api/v1`. */
export async function rest(
  gateway: GatewayAddress,
  method: string,
  path: string,
  options: { readonly token?: string | undefined; readonly body?: unknown } = {},
): Promise<Answer> {
  keepSecret("a token", options.token);
  const response = await fetch(`${gateway.http}/api/v1${path}`, {
    method,
    headers: {
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body, outgoing) }),
    signal: AbortSignal.timeout(deadlineMs),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: asRecord(JSON.parse(text, incoming)) };
}

/** A new account with a name that nobody has. */
export async function register(gateway: GatewayAddress, name: string): Promise<User> {
  const username = `${name}-${randomUUID().slice(0, 8)}`;
  const { status, body } = await rest(gateway, "POST", "/auth/register", { body: { username, password } });
  if (status !== 201) {
    throw new Error(`register answered ${status} ${JSON.stringify(body)}`);
  }
  return userOf(body);
}

export async function login(gateway: GatewayAddress, username: string): Promise<User> {
  const { status, body } = await rest(gateway, "POST", "/auth/login", { body: { username, password } });
  if (status !== 200) {
    throw new Error(`login answered ${status} ${JSON.stringify(body)}`);
  }
  return userOf(body);
}

/** A direct conversation of the two; its id. */
export async function direct(gateway: GatewayAddress, user: User, peer: User): Promise<string> {
  const { status, body } = await rest(gateway, "POST", "/conversations", {
    token: user.accessToken,
    body: { type: 1, member_ids: [peer.userId] },
  });
  if (status !== 201) {
    throw new Error(`conversations answered ${status} ${JSON.stringify(body)}`);
  }
  return String(body.conversation_id);
}

/** Asked by the one, accepted by the other. */
export async function befriend(gateway: GatewayAddress, user: User, other: User): Promise<void> {
  const body = { user_id: other.userId };
  const asked = await rest(gateway, "POST", "/friends/requests", { token: user.accessToken, body });
  const accept = `/friends/requests/${String(asked.body.request_id)}:accept`;
  const { status } = await rest(gateway, "POST", accept, { token: other.accessToken, body: {} });
  if (status !== 200) {
    throw new Error(`${accept} answered ${status}`);
  }
}

export interface ChatSocket {
  /** What came so far. */
  readonly frames: readonly Frame[];
  readonly opened: Promise<void>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** The connected frame's data. */
  readonly connected: Readonly<Record<string, unknown>>;
  sendText(text: string): void;
  sendBinary(bytes: Uint8Array): void;
  /** @returns its message_id */
  send(type: string, data: Readonly<Record<string, unknown>>): string;
  /** The first frame, past or future, that fits; fails after 10 s. */
  next(type: string, fits?: (frame: Frame) => boolean): Promise<Frame>;
  /** Sends a text message and waits for its ack; its client_msg_id. */
  say(conversationId: string, content: string): Promise<string>;
  close(): Promise<void>;
}

/** Connects with the token in the query and waits for `connected`. */
export async function connect(gateway: GatewayAddress, user: { readonly accessToken: string }): Promise<ChatSocket> {
  const socket = openSocket(`${gateway.ws}?token=${encodeURIComponent(user.accessToken)}`);
  const connected = await socket.next("connected");
  return Object.assign(socket, { connected: connected.data });
}

/** Resolves when im-logic knows of a connection of this user: notices are pushed to those that it knows, and not kept for others. */
export async function untilOnline(gateway: GatewayAddress, user: User): Promise<void> {
  const online = async (): Promise<boolean> => {
    const { body } = await rest(gateway, "GET", `/presence?user_ids=${user.userId}`, { token: user.accessToken });
    return asRecords(body.presences)[0]?.online === true;
  };
  await waitFor(online, { timeoutMs: deadlineMs, what: `${user.username} to be online` });
}

/** Any socket, authenticated or not. */
export function openSocket(url: string, protocols: readonly string[] = []): ChatSocket {
  const frames: Frame[] = [];
  keepSecret("a token", new URL(url).searchParams.get("token"));
  for (const protocol of protocols) {
    keepSecret("a token", /^bearer\.(.*)$/.exec(protocol)?.[1]);
  }
  const webSocket = new WebSocket(url, [...protocols]);
  let problem = "";
  webSocket.on("message", (data) => frames.push(parseFrame(data.toString())));
  webSocket.on("error", (error) => {
    problem = error.message;
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    webSocket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  const opened = new Promise<void>((resolve, reject) => {
    webSocket.once("open", resolve);
    webSocket.once("error", reject);
  });
  // Whoever waits for a frame learns of a failed connection there.
  opened.catch((error: Error) => {
    problem = error.message;
  });
  const send = (type: string, data: Readonly<Record<string, unknown>>): string => {
    const messageId = randomUUID();
    webSocket.send(JSON.stringify({ type, message_id: messageId, data, timestamp: Date.now() }, outgoing));
    return messageId;
  };
  const next = async (type: string, fits: (frame: Frame) => boolean = () => true): Promise<Frame> => {
    const find = (): Frame | undefined => frames.find((frame) => frame.type === type && fits(frame));
    await waitFor(() => find() !== undefined || webSocket.readyState === WebSocket.CLOSED, {
      timeoutMs: deadlineMs,
      intervalMs: 5,
      what: () => `a ${type} frame; came: ${JSON.stringify(frames.slice(-5))}`,
    });
    const frame = find();
    if (frame === undefined) {
      throw new Error(`the socket closed before a ${type} frame came ${problem}: ${JSON.stringify(frames)}`);
    }
    return frame;
  };
  return {
    frames,
    opened,
    closed,
    connected: {},
    sendText: (text) => webSocket.send(text),
    sendBinary: (bytes) => webSocket.send(bytes, { binary: true }),
    send,
    next,
    async say(conversationId, content) {
      const clientMsgId = randomUUID();
      const messageId = send("send-message", {
        conversation_id: conversationId,
        message_type: 1,
        content,
        client_msg_id: clientMsgId,
      });
      await next("message-ack", (frame) => frame.message_id === messageId);
      return clientMsgId;
    },
    async close() {
      webSocket.close();
      await closed;
    },
  };
}

/** The HTTP status with which an upgrade is refused, and the body. */
export function refusedUpgrade(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  keepSecret("a token", new URL(url).searchParams.get("token"));
  keepSecret("a token", /^bearer (.*)$/i.exec(headers.authorization ?? "")?.[1]);
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(url, { headers });
    webSocket.on("open", () => {
      webSocket.terminate();
      reject(new Error("the upgrade was accepted"));
    });
    webSocket.on("error", reject);
    webSocket.on("unexpected-response", (_request, response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const headers = new Headers(
          Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)]),
        );
        resolve({ status: response.statusCode ?? 0, headers, body: asRecord(JSON.parse(text)) });
      });
    });
  });
}

export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`not a JSON object: ${JSON.stringify(value)}`);
  }
  return Object.fromEntries(Object.entries(value));
}

export function asRecords(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(value)) {
    throw new Error(`not a JSON array: ${JSON.stringify(value)}`);
  }
  return value.map(asRecord);
}

/** What people write. A text as long as this is about its length. */
const contentFields = new Set(["content", "nickname", "name"]);
const maxMarkedLength = 1000;
const secretFields = new Set(["password", "token", "access_token", "refresh_token"]);

/** `JSON.stringify`'s: each secret is remembered and each content marked, so that a log that has it is caught. */
function outgoing(field: string, value: unknown): unknown {
  remember(field, value);
  const marked =
    contentFields.has(field) && typeof value === "string" && value !== "" && value.length < maxMarkedLength;
  return marked ? value + contentMark : value;
}

/** `JSON.parse`'s: the other way. */
function incoming(field: string, value: unknown): unknown {
  remember(field, value);
  return typeof value === "string" ? value.replaceAll(contentMark, "") : value;
}

function remember(field: string, value: unknown): void {
  if (secretFields.has(field)) {
    keepSecret(field, value);
  }
}

function parseFrame(text: string): Frame {
  const { type, message_id, data, timestamp } = asRecord(JSON.parse(text, incoming));
  return { type: String(type), message_id: String(message_id), data: asRecord(data), timestamp: Number(timestamp) };
}

function userOf(body: Readonly<Record<string, unknown>>): User {
  const user = asRecord(body.user);
  return {
    userId: String(user.user_id),
    username: String(user.username),
    accessToken: String(body.access_token),
    refreshToken: String(body.refresh_token),
  };
}
