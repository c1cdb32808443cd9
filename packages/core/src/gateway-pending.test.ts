// What waits for im-logic or for Kafka is bounded: one client's share of it, and all of it.
import { createRouterTransport } from "@connectrpc/connect";
import { AuthService, UserService } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { as, message, type Recorded, start } from "../test/start-gateway.ts";

/** An im-logic that answers when it is told to. */
function hanging() {
  const asked: (() => void)[] = [];
  const answer = (): void => {
    for (const resolve of asked.splice(0)) {
      resolve();
    }
  };
  const wait = (): Promise<void> => new Promise((resolve) => asked.push(resolve));
  const transport = createRouterTransport(({ service }) => {
    service(UserService, { getUser: ({ userId }) => wait().then(() => ({ userId })) });
    service(AuthService, { logout: () => wait().then(() => ({})) });
  });
  return { transport, asked, answer };
}

const reasons = ({ frames }: Recorded): unknown[] =>
  frames.flatMap(({ type, data }) => (type === "error" ? [data.reason] : []));
const replies = ({ frames }: Recorded): number => frames.filter(({ type }) => type === "reply").length;

function ask(socket: Recorded, userId: string): void {
  socket.send("call", { method: "im.logic.v1.UserService/GetUser", request: { user_id: userId } });
}

test.each([
  ["calls", 1000, "u"],
  ["characters of calls", 41, "u".repeat(100_000)],
])("one user has only so many %s under way; others go on, and so does the user later", async (_what, some, userId) => {
  const { transport, asked, answer } = hanging();
  const { gateway, open } = await start({ transport });
  const [alice, again, bob] = [
    await open(await as("alice")),
    await open(await as("alice")),
    await open(await as("bob")),
  ];
  for (let count = 0; count < some; count += 1) {
    ask(count % 2 === 0 ? alice : again, userId);
  }
  await expect.poll(() => asked.length).toBe(some);
  ask(again, userId);
  await expect.poll(() => reasons(again)).toEqual(["TOO_MANY_PENDING"]);
  const { data } = again.frames.at(-1) ?? {};
  expect([data?.code, data?.retry_after_ms]).toEqual(["resource_exhausted", expect.any(Number)]);
  expect(gateway.counters.refused).toEqual(new Map([["user_pending", 1]]));
  ask(bob, userId);
  await expect.poll(() => asked.length).toBe(some + 1);
  answer();
  await expect.poll(() => replies(alice) + replies(again) + replies(bob)).toBe(some + 1);
  ask(again, userId);
  await expect.poll(() => asked.length).toBe(1);
  answer();
});

test("repeats of a message that is on its way count in its user's share", async () => {
  let store = (): void => {};
  const stored = new Promise<void>((resolve) => {
    store = resolve;
  });
  const { open } = await start({
    producer: ({ send, close }) => ({
      close,
      send: async (sent) => {
        if (sent.topic === "upstream") {
          await stored;
        }
        await send(sent);
      },
    }),
  });
  const alice = await open(await as("alice"));
  const content = "x".repeat(60_000);
  for (let count = 0; count < 100; count += 1) {
    alice.send("send-message", { ...message, content });
  }
  await expect.poll(() => reasons(alice).length).toBe(31);
  expect(new Set(reasons(alice))).toEqual(new Set(["TOO_MANY_PENDING"]));
  store();
  await expect.poll(() => alice.frames.filter(({ type }) => type === "message-ack").length).toBe(69);
});

test("requests that wait for their answer hold only so many bytes", async () => {
  const { transport, asked, answer } = hanging();
  const { gateway } = await start({ transport });
  const post = (): Promise<Response> =>
    gateway.fetch(
      new Request("http://gateway/api/v1/auth/logout", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: `{}${" ".repeat(1024 * 1024 - 2)}`,
      }),
    );
  const waiting = Array.from({ length: 64 }, post);
  await expect.poll(() => asked.length).toBe(64);
  const refused = await post();
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, expect.stringMatching(/^[12]$/)]);
  expect(gateway.counters.refused.get("bodies")).toBe(1);
  expect(await refused.json()).toMatchObject({ code: "unavailable", details: [{ reason: "OVERLOADED" }, {}] });
  answer();
  expect(new Set((await Promise.all(waiting)).map(({ status }) => status))).toEqual(new Set([200]));
  const next = post();
  await expect.poll(() => asked.length).toBe(1);
  answer();
  expect((await next).status).toBe(200);
});

test("bodies that do not come make room for those that do, the oldest first", async () => {
  const { transport, asked, answer } = hanging();
  const { gateway } = await start({ transport });
  const post = (body: string | ReadableStream<Uint8Array>): Promise<Response> => {
    const headers = { "content-type": "application/json" };
    const request = new Request("http://gateway/api/v1/auth/logout", {
      method: "POST",
      headers,
      body,
      // What the standard library's types do not have yet.
      ...{ duplex: "half" },
    });
    return gateway.fetch(request);
  };
  /** Sends so many bytes, and then nothing more. */
  const stall = (bytes: number): Promise<Response> =>
    post(new ReadableStream({ start: (stream) => stream.enqueue(new Uint8Array(bytes).fill(0x20)) }));
  const stalled = Array.from({ length: 64 }, () => stall(1024 * 1024));
  const answered = post("{}");
  const refused = await stalled[0];
  expect([refused?.status, await refused?.json()]).toMatchObject([503, { details: [{ reason: "OVERLOADED" }, {}] }]);
  await expect.poll(() => asked.length).toBe(1);
  answer();
  expect((await answered).status).toBe(200);
  // The others still may come.
  expect(gateway.counters.refused.get("bodies")).toBe(1);
});
