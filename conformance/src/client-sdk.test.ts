// The client SDK against a running gateway with everything in it.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Client,
  type ClientEvents,
  type ConnectionState,
  type CallOptions,
  createClient,
  ImError,
  MessageType,
} from "@im-gateway/client";
import { waitFor } from "@im-gateway/tools/process";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { inSeconds, jwt } from "./jwt.ts";
import { createProgram, freeAddress, type Program } from "./worlds/program.ts";

const password = "a password of some length";
let folder: string;
let url: string;
let gateway: Program;
let alice: Person;
let bob: Person;
let conversation_id: string;
const clients: Client[] = [];

interface Person {
  readonly user_id: string;
  readonly token: string;
  readonly device_id: string;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "im-gateway-sdk-"));
  const address = await freeAddress();
  url = `http://${address}`;
  const set = [`server.http_addr=${address}`, `data_dir=${folder}`, "websocket.heartbeat_interval=1s"];
  gateway = createProgram("gateway", "im-gateway", set, { holdsSockets: true, scratch: folder });
  await gateway.start();
  [alice, bob] = [await register("alice"), await register("bob")];
  const conversation = await client(alice).conversation.createConversation({ type: 1, member_ids: [bob.user_id] });
  conversation_id = conversation.conversation_id;
});

afterEach(() => {
  for (const one of clients.splice(0)) {
    one.close();
  }
});

afterAll(async () => {
  await gateway.stop();
  await rm(folder, { recursive: true });
});

async function register(name: string): Promise<Person> {
  const device_id = randomUUID();
  const im = createClient({ url, getToken: () => "" });
  const pair = await im.auth.register({ username: `${name}-${randomUUID()}`, password, device_id });
  return { user_id: pair.user?.user_id ?? "", token: pair.access_token, device_id };
}

function client(person: Person, getToken: (why: { refresh: boolean }) => string = () => person.token): Client {
  const im = createClient({ url, getToken });
  clients.push(im);
  return im;
}

async function connected(person: Person): Promise<Client> {
  const im = client(person);
  await im.connect({ signal: AbortSignal.timeout(5000) });
  return im;
}

/** The next event that fits. */
function next<E extends keyof ClientEvents>(
  im: Client,
  event: E,
  fits: (value: ClientEvents[E]) => boolean = () => true,
): Promise<ClientEvents[E]> {
  const { promise, resolve } = Promise.withResolvers<ClientEvents[E]>();
  const off = im.on(event, (value) => {
    if (fits(value)) {
      off();
      resolve(value);
    }
  });
  return promise;
}

function reached(im: Client, state: ConnectionState): Promise<unknown> {
  return im.state === state ? Promise.resolve() : next(im, "state", (now) => now === state);
}

/** What a promise was rejected with. */
async function failure(promise: Promise<unknown>): Promise<ImError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ImError)) {
    throw new Error("not rejected with an ImError", { cause: error });
  }
  return error;
}

test("two people talk: log in, connect, send, receive, mark as read", async () => {
  const im = client(alice);
  const states: ConnectionState[] = [];
  im.on("state", (state) => states.push(state));
  expect(im.state).toBe("idle");
  expect(await im.connect()).toMatchObject({ user_id: alice.user_id, device_id: alice.device_id });
  expect(states).toEqual(["connecting", "online"]);
  const peer = await connected(bob);

  const arrives = next(peer, "new-message");
  const stored = next(im, "message-stored");
  const ack = await im.sendMessage({ conversation_id, content: "Hello Bob" });
  expect(ack).toEqual({ client_msg_id: expect.any(String), status: "accepted", trace_id: expect.any(String) });
  const message = await arrives;
  expect(message).toMatchObject({ sender_id: alice.user_id, content: "Hello Bob", message_type: MessageType.TEXT });
  expect(await stored).toMatchObject({ client_msg_id: ack.client_msg_id, seq_id: message.seq_id });

  const read = next(im, "message-read");
  await peer.markRead({ conversation_id, seq_id: message.seq_id });
  expect(await read).toEqual({ conversation_id, user_id: bob.user_id, seq_id: message.seq_id });
  im.typing({ conversation_id, typing: true });
  expect(await im.pending()).toEqual([]);
  im.close();
  expect(states).toEqual(["connecting", "online", "closed"]);
});
