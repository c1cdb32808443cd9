import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createCounters } from "./counters.ts";
import { createDeduplication, type DeduplicationOptions } from "./deduplication.ts";
import { toConnectError } from "./error-json.ts";
import { failure, reasonOf } from "./errors.ts";
import type { OutgoingMessage } from "./upstream.ts";

const message: OutgoingMessage = { conversationId: "c", messageType: 1, content: "hello", clientMsgId: "1" };

/** A log that stores, or refuses, when it is told to. */
function open(options: Partial<DeduplicationOptions> = {}) {
  let nowMs = 0;
  const waiting: { readonly stores: () => void; readonly refuses: () => void }[] = [];
  let published = 0;
  const counters = createCounters();
  const window = createDeduplication({ counters, now: () => nowMs, ...options });
  return {
    window,
    counters,
    waiting,
    published: () => published,
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** What it comes to: a status or a reason. */
    send: async (changes: Partial<OutgoingMessage> = {}, userId = "u"): Promise<string> => {
      const publish = () =>
        new Promise<void>((resolve, reject) => {
          published += 1;
          waiting.push({ stores: resolve, refuses: () => reject(failure(Code.Unavailable, "AWAY", "away")) });
        });
      try {
        return await window.once(userId, { ...message, ...changes }, publish);
      } catch (thrown) {
        return reasonOf(toConnectError(thrown));
      }
    },
  };
}

test("a repeat while the first is on its way joins it: stored once, answered twice", async () => {
  const { send, waiting, published, window, counters } = open();
  const both = [send(), send()];
  expect(waiting).toHaveLength(1);
  waiting[0]?.stores();
  expect(await Promise.all(both)).toEqual(["accepted", "duplicate"]);
  expect([await send(), published(), window.busyUsers]).toEqual(["duplicate", 1, 0]);
  expect(counters.upstreamDuplicates).toBe(2);
});

test("a first that fails takes those who joined along, and leaves the window", async () => {
  const { send, waiting, published } = open();
  const both = [send(), send()];
  waiting[0]?.refuses();
  expect(await Promise.all(both)).toEqual(["AWAY", "AWAY"]);
  const again = send();
  waiting[1]?.stores();
  expect([await again, published()]).toEqual(["accepted", 2]);
});

describe.each(["on its way", "stored"])("the id of a message that is %s", (state) => {
  const repeats: readonly (readonly [string, Partial<OutgoingMessage>, string])[] = [
    ["another conversation", { conversationId: "d" }, "CLIENT_MSG_ID_REUSED"],
    ["another type", { messageType: 2 }, "CLIENT_MSG_ID_REUSED"],
    ["other content", { content: "hellp" }, "CLIENT_MSG_ID_REUSED"],
    [
      "content that was the end of the conversation's id",
      { conversationId: "", content: "chello" },
      "CLIENT_MSG_ID_REUSED",
    ],
    ["the same again", {}, "duplicate"],
  ];
  test.each(repeats)("with %s: %s", async (_what, changes, outcome) => {
    const { send, waiting } = open();
    const first = send();
    if (state === "stored") {
      waiting[0]?.stores();
      await first;
    }
    const second = send(changes);
    waiting[0]?.stores();
    expect(await second).toBe(outcome);
  });
});

test("another user's id is another id", async () => {
  const { send, waiting } = open();
  const both = [send({ clientMsgId: "1u" }), send({ clientMsgId: "u" }, "u1")];
  for (const { stores } of waiting) {
    stores();
  }
  expect(await Promise.all(both)).toEqual(["accepted", "accepted"]);
});

test.each([
  ["count", { maxStored: 4 }],
  ["the length of the names", { maxStoredLength: 12 }],
])("what is remembered is bounded by %s, the older half goes", async (_by, bounds) => {
  const { send, waiting, window } = open(bounds);
  for (const clientMsgId of ["1", "2", "3", "4", "5"]) {
    const sent = send({ clientMsgId });
    waiting.at(-1)?.stores();
    await sent;
  }
  expect([await send({ clientMsgId: "3" }), await send({ clientMsgId: "5" }), window.remembered]).toEqual([
    "duplicate",
    "duplicate",
    3,
  ]);
  const forgotten = send({ clientMsgId: "1" });
  waiting.at(-1)?.stores();
  expect(await forgotten).toBe("accepted");
});

test("one that is on its way is not forgotten, whatever is stored meanwhile and however long it takes", async () => {
  const { send, waiting, published, window, pass } = open({ maxStored: 2, windowMs: 1000 });
  const [slow, refused] = [send({ clientMsgId: "slow" }), send({ clientMsgId: "refused" })];
  for (const clientMsgId of ["1", "2", "3", "4"]) {
    const sent = send({ clientMsgId });
    waiting.at(-1)?.stores();
    await sent;
  }
  pass(10_000);
  const [again, refusedAgain] = [send({ clientMsgId: "slow" }), send({ clientMsgId: "refused" })];
  expect([published(), window.remembered]).toEqual([6, 2]);
  waiting[0]?.stores();
  waiting[1]?.refuses();
  expect(await Promise.all([slow, again, refused, refusedAgain])).toEqual(["accepted", "duplicate", "AWAY", "AWAY"]);
  expect([window.remembered, window.busyUsers]).toEqual([1, 0]);
});

test("what is remembered is bounded by time: at least the window, at most twice of it", async () => {
  const { send, waiting, pass } = open({ windowMs: 1000 });
  const outcomes: string[] = [];
  for (const ms of [0, 999, 1, 999, 1001]) {
    pass(ms);
    const sent = send();
    waiting.at(-1)?.stores();
    outcomes.push(await sent);
  }
  expect(outcomes).toEqual(["accepted", "duplicate", "duplicate", "duplicate", "accepted"]);
});

test.each([
  ["messages", { share: { maxCount: 2 } }],
  ["content", { share: { maxLength: 10 } }],
])("a user has so much on its way, in %s, and others go on", async (_what, bounds) => {
  const { send, waiting } = open(bounds);
  const first = [send({ clientMsgId: "1" }), send({ clientMsgId: "2" })];
  expect(await send({ clientMsgId: "3" })).toBe("TOO_MANY_PENDING");
  const other = send({}, "v");
  expect(waiting).toHaveLength(3);
  for (const { stores } of waiting) {
    stores();
  }
  expect(await Promise.all([...first, other])).toEqual(["accepted", "accepted", "accepted"]);
  const again = send({ clientMsgId: "3" });
  waiting.at(-1)?.stores();
  expect(await again).toBe("accepted");
});

test("a repeat that waits counts as much as the first; of what is stored already there may be any number", async () => {
  const { send, waiting, published, window } = open({ share: { maxCount: 2 } });
  const both = [send(), send()];
  expect(await send()).toBe("TOO_MANY_PENDING");
  waiting[0]?.stores();
  expect(await Promise.all(both)).toEqual(["accepted", "duplicate"]);
  expect(await Promise.all([send(), send(), send()])).toEqual(["duplicate", "duplicate", "duplicate"]);
  expect([published(), window.busyUsers]).toEqual([1, 0]);
});

test("whatever is sent, stored and refused: of each message one is accepted for each that is stored, and nothing is left behind", async () => {
  const step = fc.oneof(
    fc.record({ sends: fc.constantFrom("1", "2", "3"), by: fc.constantFrom("u", "v") }),
    fc.record({ settles: fc.nat(9), stored: fc.boolean() }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { send, waiting, window } = open();
      const outcomes = new Map<string, Promise<string>[]>();
      let settled = 0;
      const settle = async (stores: boolean): Promise<void> => {
        const one = waiting[settled];
        settled += one === undefined ? 0 : 1;
        (stores ? one?.stores : one?.refuses)?.();
        await new Promise((resolve) => setImmediate(resolve));
      };
      for (const each of steps) {
        if ("sends" in each) {
          const name = `${each.by} ${each.sends}`;
          outcomes.set(name, [...(outcomes.get(name) ?? []), send({ clientMsgId: each.sends }, each.by)]);
        } else {
          await settle(each.stored);
        }
      }
      while (settled < waiting.length) {
        await settle(true);
      }
      for (const sent of outcomes.values()) {
        const all = await Promise.all(sent);
        expect(all.filter((outcome) => outcome === "accepted").length).toBeLessThanOrEqual(1);
        const first = all.indexOf("accepted");
        expect(all.slice(0, Math.max(first, 0)).every((outcome) => outcome === "AWAY")).toBe(true);
        expect(first === -1 || all.slice(first + 1).every((outcome) => outcome === "duplicate")).toBe(true);
      }
      expect(window.busyUsers).toBe(0);
    }),
  );
});

test("two messages whose fields put together are the same text are two messages", async () => {
  const { send, waiting } = open();
  const first = send({ conversationId: "c", content: "2\nx" });
  waiting[0]?.stores();
  await first;
  expect(await send({ conversationId: "c\n1", messageType: 2, content: "x" })).toBe("CLIENT_MSG_ID_REUSED");
});
