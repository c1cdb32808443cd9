// The client SDK against a running gateway with everything in it.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Client,
  type ClientEvents,
  type ConnectionState,
  createClient,
  ImError,
  MessageType,
} from "@im-gateway/client";
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
  return new Promise((resolve) => {
    const off = im.on(event, (value) => {
      if (fits(value)) {
        off();
        resolve(value);
      }
    });
  });
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

test("a listener that was removed hears nothing", async () => {
  const [im, peer] = [await connected(alice), await connected(bob)];
  const heard: string[] = [];
  const forget = peer.on("new-message", () => heard.push("forgotten"));
  const removed = (): void => void heard.push("removed");
  peer.on("new-message", removed);
  forget();
  peer.off("new-message", removed);
  const arrived = next(peer, "new-message");
  await im.sendMessage({ conversation_id, content: "once" });
  await arrived;
  expect(heard).toEqual([]);
});

test("the same client_msg_id is stored once, however often it is sent", async () => {
  const [im, peer] = [await connected(alice), await connected(bob)];
  const client_msg_id = randomUUID();
  // Delivery is at least once: the sequence number tells.
  const got = new Map<number, string>();
  peer.on("new-message", ({ seq_id, content }) => got.set(seq_id, content));
  const last = next(peer, "new-message", ({ content }) => content === "last");
  for (const content of ["twice", "twice"]) {
    await im.sendMessage({ conversation_id, content, client_msg_id });
  }
  await im.sendMessage({ conversation_id, content: "last" });
  await last;
  expect([...got.values()].slice(-2)).toEqual(["twice", "last"]);
});

describe("both doors", () => {
  const missing = "00000000-0000-4000-8000-000000000000";
  interface Case {
    readonly name: string;
    readonly run: (im: Client, via: "socket" | "http") => Promise<unknown>;
    /** Of the error, where there is one. */
    readonly code?: string;
  }
  const cases: readonly Case[] = [
    { name: "a resource", run: (im, via) => im.user.getMe({}, { via }) },
    { name: "an id in the path", run: (im, via) => im.user.getUser({ user_id: bob.user_id }, { via }) },
    { name: "a query", run: (im, via) => im.conversation.listConversations({ page_size: 1 }, { via }) },
    {
      name: "path and query",
      run: (im, via) => im.message.listMessages({ conversation_id, before_seq_id: 2, page_size: 5 }, { via }),
    },
    { name: "a body", run: (im, via) => im.user.updateMe({ nickname: "Alice \u00e9\ud83d\ude00" }, { via }) },
    { name: "path and body", run: (im, via) => im.conversation.markRead({ conversation_id, seq_id: 1 }, { via }) },
    {
      name: "the method by its name",
      run: (im, via) => im.call("im.logic.v1.ConversationService/GetUnread", { conversation_id }, { via }),
    },
    { name: "no such user", run: (im, via) => im.user.getUser({ user_id: missing }, { via }), code: "not_found" },
    {
      name: "an id that needs escaping",
      run: (im, via) => im.user.getUser({ user_id: "a/b?c#d%20:e \u00fc" }, { via }),
      code: "not_found",
    },
    {
      name: "a field out of range",
      run: (im, via) => im.conversation.listConversations({ page_size: -1 }, { via }),
      code: "invalid_argument",
    },
    {
      name: "a field of another type",
      run: (im, via) => im.user.updateMe(JSON.parse('{"nickname":[]}'), { via }),
      code: "invalid_argument",
    },
    {
      name: "an identity field",
      run: (im, via) => im.user.updateMe(JSON.parse('{"caller_id":"me","nickname":"x"}'), { via }),
      code: "invalid_argument",
    },
    {
      name: "somebody else's conversation",
      run: (im, via) => im.conversation.getConversation({ conversation_id: missing }, { via }),
      code: "not_found",
    },
  ];
  test.each(cases)("answer the same: $name", async ({ run, code }) => {
    const im = await connected(alice);
    if (code === undefined) {
      expect(await run(im, "socket")).toEqual(await run(im, "http"));
      return;
    }
    const [socket, http] = [await failure(run(im, "socket")), await failure(run(im, "http"))];
    const seen = ({ code, reason, message, details }: ImError): unknown => ({ code, reason, message, details });
    expect(seen(socket)).toEqual(seen(http));
    expect(socket.code).toBe(code);
    expect([socket.trace_id, http.trace_id]).toEqual([expect.stringMatching(/./), expect.stringMatching(/./)]);
  });

  test("a call finds its door: HTTP without a socket, the socket while it is online, public methods never the socket", async () => {
    const doors: string[] = [];
    const im = createClient({
      url,
      getToken: () => alice.token,
      fetch: (...request) => {
        doors.push("http");
        return fetch(...request);
      },
    });
    clients.push(im);
    await im.user.getMe();
    expect(doors.splice(0)).toEqual(["http"]);
    await im.connect();
    await im.user.getMe();
    expect(doors.splice(0)).toEqual([]);
    const { code } = await failure(im.auth.login({ username: "nobody", password }));
    expect([doors, code]).toEqual([["http"], "unauthenticated"]);
    expect(await failure(client(alice).user.getMe({}, { via: "socket" }))).toMatchObject({ code: "unavailable" });
  });

  test("what no URL can carry is refused before it leaves", async () => {
    for (const user_id of ["", ".", ".."]) {
      expect(await failure(client(alice).user.getUser({ user_id }))).toMatchObject({ code: "invalid_argument" });
    }
  });
});

test("an export is read as it comes, and says what is wrong", async () => {
  const im = await connected(alice);
  for (let line = 0; line < 30; line += 1) {
    await im.sendMessage({ conversation_id, content: `line ${line}\n\u00e9` });
  }
  const read = async (conversation: string): Promise<readonly number[]> => {
    const seqs: number[] = [];
    for await (const { seq_id } of im.message.exportMessages({ conversation_id: conversation, after_seq_id: 1 })) {
      seqs.push(seq_id);
    }
    return seqs;
  };
  const seqs = await read(conversation_id);
  expect(seqs.length).toBeGreaterThan(25);
  expect(seqs).toEqual(seqs.map((_, index) => index + 2));
  expect(await failure(read("nowhere"))).toMatchObject({ code: "not_found" });
});

describe("tokens", () => {
  const token = ({ user_id, device_id }: Person, seconds: number): string =>
    jwt({ claims: { sub: user_id, did: device_id, sid: "s", jti: randomUUID(), exp: inSeconds(seconds) } });

  test.each([
    ["none", ""],
    ["no JWT", "not.a.token"],
    ["of another key", jwt({ claims: { sub: "x", exp: 9_999_999_999 }, secret: "another key" })],
  ])("one that is bad ends in closed, with an error event: %s", async (_name, bad) => {
    const im = client(alice, () => bad);
    const told = next(im, "error");
    const states: ConnectionState[] = [];
    im.on("state", (state) => states.push(state));
    const error = await failure(im.connect());
    expect(error).toMatchObject({ code: "unauthenticated", reason: "TOKEN_INVALID", retryable: false });
    expect(await told).toBe(error);
    expect(states).toEqual(["connecting", "closed"]);
    expect(await failure(im.user.getMe())).toMatchObject({ code: "unauthenticated" });
  });

  test("an expired one is asked for again, fresh, and only then", async () => {
    const asked: boolean[] = [];
    const getToken = ({ refresh }: { refresh: boolean }): string => {
      asked.push(refresh);
      return refresh ? alice.token : token(alice, -1);
    };
    await client(alice, getToken).user.getMe();
    expect(asked.splice(0)).toEqual([false, true]);
    await client(alice, getToken).connect();
    expect(asked).toEqual([false, true]);
  });

  test("one that ends soon is renewed in band, by one question however many ask", async () => {
    let refreshes = 0;
    const im = client(bob, ({ refresh }) => {
      refreshes += refresh ? 1 : 0;
      return refresh ? bob.token : token(bob, 30);
    });
    const renewed = next(im, "authenticated");
    await im.connect();
    expect(await renewed).toMatchObject({ user_id: bob.user_id, device_id: bob.device_id });
    expect([im.state, refreshes]).toEqual(["online", 1]);
  });

  test("one that can not be had now is tried again; a refusal closes", async () => {
    let tries = 0;
    const im = client(alice, () => {
      tries += 1;
      if (tries === 1) {
        throw new TypeError("no network");
      }
      return alice.token;
    });
    const told = next(im, "error");
    await im.connect();
    expect(await told).toMatchObject({ code: "unavailable", reason: "NO_TOKEN", cause: expect.any(TypeError) });

    const refused = client(alice, () => {
      throw new ImError("unauthenticated", "REFRESH_TOKEN_REUSED", "log in again");
    });
    expect(await failure(refused.connect())).toMatchObject({ reason: "REFRESH_TOKEN_REUSED" });
    expect(refused.state).toBe("closed");
  });
});

test("a message that is too large is refused here: the gateway would close the connection for good", async () => {
  const im = await connected(alice);
  const error = await failure(im.sendMessage({ conversation_id, content: "\u20ac".repeat(30_000) }));
  expect(error).toMatchObject({ code: "invalid_argument", reason: "MESSAGE_TOO_LARGE" });
  expect(await im.pending()).toEqual([]);
  await im.sendMessage({ conversation_id, content: "still here" });
});

test("what the gateway refuses rejects, with the message's own id", async () => {
  const im = await connected(alice);
  const error = await failure(im.sendMessage({ conversation_id: "", content: "x", client_msg_id: "mine" }));
  expect(error).toMatchObject({ code: "invalid_argument", reason: "INVALID_FIELD", client_msg_id: "mine" });
  expect(error.details).toContainEqual(expect.objectContaining({ "@type": expect.stringContaining("BadRequest") }));
});

test("what im-logic refuses after the ack comes as an error event", async () => {
  const im = await connected(alice);
  const told = next(im, "error");
  const ack = await im.sendMessage({ conversation_id: "no-such-conversation", content: "x" });
  expect(await told).toMatchObject({ code: "not_found", client_msg_id: ack.client_msg_id });
});

test("silence alone loses no connection", async () => {
  const im = await connected(alice);
  const states: ConnectionState[] = [];
  im.on("state", (state) => states.push(state));
  await next(im, "pong");
  await next(im, "pong");
  expect(states).toEqual([]);
});

test("who connects anew on being told of the close is connected", async () => {
  const im = await connected(alice);
  const again = new Promise((resolve, reject) => {
    const stop = im.on("state", () => {
      stop();
      im.connect().then(resolve, reject);
    });
  });
  im.close();
  expect(await again).toMatchObject({ user_id: alice.user_id });
});

test.each(["socket", "http"] as const)(
  "what can not be sent is refused here, and the connection lives: %s",
  async (via) => {
    const im = await connected(alice);
    const cut = "\u{1f600}".slice(0, 1);
    for (const [code, asked] of [
      ["invalid_argument", im.user.getUser({ user_id: cut }, { via })],
      ["invalid_argument", im.user.listUsers({ query: cut }, { via })],
      ["invalid_argument", im.user.getMe({}, { via, timeout_ms: -1 })],
      ["invalid_argument", im.user.getMe({}, { via, timeout_ms: Number.NaN })],
    ] as const) {
      expect(await failure(asked)).toMatchObject({ code });
    }
    for (const timeout_ms of [1500.5, 2 ** 40, Number.POSITIVE_INFINITY]) {
      expect(await im.user.getMe({}, { via, timeout_ms })).toMatchObject({ user_id: alice.user_id });
    }
    const content = `${"\u{1f600}"} \\ud800 \\\\ud800`;
    await im.sendMessage({ conversation_id, content });
    expect(await failure(im.sendMessage({ conversation_id, content: `a${cut}` }))).toMatchObject({
      code: "invalid_argument",
      retryable: false,
    });
  },
);

test("connect can be given up", async () => {
  const im = createClient({ url: `http://${await freeAddress()}`, getToken: () => alice.token });
  clients.push(im);
  const waits = reached(im, "waiting");
  const leave = new AbortController();
  const connecting = failure(im.connect({ signal: leave.signal }));
  await waits;
  leave.abort();
  expect(await connecting).toMatchObject({ code: "canceled" });
  expect(im.state).toBe("closed");
  expect(await failure(im.user.getMe())).toMatchObject({ code: "unavailable", reason: "NETWORK" });
});

describe("a gateway in trouble", () => {
  test("an answer that comes too late is no news", async () => {
    const im = await connected(alice);
    const told: ImError[] = [];
    im.on("error", (error) => told.push(error));
    gateway.freeze();
    const late = await failure(im.sendMessage({ conversation_id: "", content: "x" }, { timeout_ms: 50 }));
    gateway.thaw();
    expect(late.code).toBe("deadline_exceeded");
    await im.user.getMe({}, { via: "socket" });
    expect(told).toEqual([]);
  });

  test("one that answers nothing: timeout, abort, pending, and a new connection when it is back", async () => {
    const im = await connected(alice);
    gateway.freeze();
    try {
      const late = failure(im.sendMessage({ conversation_id, content: "late" }, { timeout_ms: 200 }));
      expect(await im.pending()).toMatchObject([{ conversation_id, status: "sending" }]);
      const leave = new AbortController();
      const left = failure(im.user.getMe({}, { signal: leave.signal }));
      const both = failure(im.user.getMe({}, { via: "http", timeout_ms: 200 }));
      leave.abort();
      expect(await left).toMatchObject({ code: "canceled", reason: "ABORTED" });
      expect(await late).toMatchObject({ code: "deadline_exceeded", client_msg_id: expect.any(String) });
      expect(await both).toMatchObject({ code: "deadline_exceeded" });
      expect(await im.pending()).toEqual([]);
      await reached(im, "waiting");
    } finally {
      gateway.thaw();
    }
    await reached(im, "online");
    await im.sendMessage({ conversation_id, content: "back" });
  });

  test.each(["kill", "stop"] as const)(
    "one that ends (%s) and comes back: sends fail meanwhile, then all is as before",
    async (how) => {
      const [im, peer] = [await connected(alice), await connected(bob)];
      const goaways: unknown[] = [];
      im.on("goaway", (data) => goaways.push(data));
      let lost: Promise<ImError> | undefined;
      if (how === "kill") {
        gateway.freeze();
        lost = failure(im.sendMessage({ conversation_id, content: "again", client_msg_id: "again" }));
        await gateway.kill();
      } else {
        await gateway.stop();
      }
      await reached(im, "waiting");
      expect((await lost)?.code ?? "unavailable").toBe("unavailable");
      expect(goaways).toHaveLength(how === "stop" ? 1 : 0);
      const error = await failure(im.sendMessage({ conversation_id, content: "no" }));
      expect(error).toMatchObject({ code: "unavailable", retryable: true, client_msg_id: expect.any(String) });
      await gateway.start();
      await Promise.all([reached(im, "online"), reached(peer, "online")]);
      const arrives = next(peer, "new-message");
      await im.sendMessage({
        conversation_id,
        content: how,
        client_msg_id: lost === undefined ? randomUUID() : "again",
      });
      expect(await arrives).toMatchObject({ content: how });
    },
  );
});
