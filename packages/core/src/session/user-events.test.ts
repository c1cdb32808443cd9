// What im-logic is told of who came and went, also while Kafka is away.
import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Log, LogLevel, Producer, ProducerRecord } from "../adapters.ts";
import { failure } from "../errors.ts";
import { createUserEvents, type UserEvents } from "./user-events.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const never = new AbortController().signal;
const alice = { userId: "alice", deviceId: "phone", connectionId: "c1", reason: "", told: false };

interface Told {
  readonly userEvents: UserEvents;
  /** What the broker has. */
  readonly stored: { readonly topic: string; readonly key: string; readonly value: Record<string, unknown> }[];
  readonly counters: { readonly userEventsDropped: number };
  readonly logged: { readonly level: LogLevel; readonly fields: Readonly<Record<string, unknown>> | undefined }[];
}

/** @param broker decides on each attempt: stores, refuses, or never answers */
function start(
  broker: (attempt: number, record: ProducerRecord) => "stores" | "refuses" | "is silent",
  maxEnded = 1000,
): Told {
  const stored: Told["stored"] = [];
  const logged: Told["logged"] = [];
  let attempt = 0;
  let epoch = 41;
  const send: Producer["send"] = async (record) => {
    const answer = broker(++attempt, record);
    if (answer === "is silent") {
      await new Promise(() => {});
    }
    if (answer === "refuses") {
      throw failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "away");
    }
    const value = JSON.parse(String(record.value));
    stored.push({ topic: record.topic, key: record.key, value });
  };
  const log: Log = (level, _message, fields) => void logged.push({ level, fields });
  const counters = { userEventsDropped: 0 };
  const options = {
    counters,
    maxEnded,
    send,
    topic: "user-events",
    gatewayId: "g1",
    log,
    now: () => 1_634_567_890_999,
  };
  return { userEvents: createUserEvents({ ...options, epoch: () => ++epoch }), stored, logged, counters };
}

const stateOf = async (promise: Promise<void>): Promise<"settled" | "pending"> => {
  let state: "settled" | "pending" = "pending";
  void promise.then(() => {
    state = "settled";
  });
  await vi.advanceTimersByTimeAsync(0);
  return state;
};

test("a record to the contract's letter, keyed by user, counted up, with the epoch of its time", async () => {
  const { userEvents, stored } = start(() => "stores");
  userEvents.publish({ event: "connected", ...alice });
  userEvents.publish({ event: "disconnected", ...alice, reason: "closed 1001" });
  await userEvents.settled(never);
  const common = { user_id: "alice", device_id: "phone", connection_id: "c1", gateway_id: "g1", timestamp: 1634567890 };
  expect(stored).toEqual([
    {
      topic: "user-events",
      key: "alice",
      value: { event: "connected", ...common, gateway_epoch: 42, seq: 1, reason: "" },
    },
    {
      topic: "user-events",
      key: "alice",
      value: { event: "disconnected", ...common, gateway_epoch: 43, seq: 2, reason: "closed 1001" },
    },
  ]);
});

describe("an event that is refused", () => {
  test("comes again every second until it is stored, the same but for the epoch", async () => {
    const sent: { gateway_epoch: number }[] = [];
    const { userEvents, stored, logged } = start((attempt, record) => {
      sent.push(JSON.parse(String(record.value)));
      return attempt < 4 ? "refuses" : "stores";
    });
    userEvents.publish({ event: "connected", ...alice });
    await vi.advanceTimersByTimeAsync(2999);
    expect([sent.length, stored.length]).toEqual([3, 0]);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent.map((value) => value.gateway_epoch)).toEqual([42, 43, 44, 45]);
    expect([new Set(sent.map((value) => JSON.stringify({ ...value, gateway_epoch: 0 }))).size, stored.length]).toEqual([
      1, 1,
    ]);
    expect(logged.map(({ level }) => level)).toEqual(["warn", "debug", "debug"]);
    expect(logged[0]?.fields).toEqual({
      waiting: 1,
      attempt: 1,
      error: expect.objectContaining({ rawMessage: "away" }),
    });
  });

  test("does not hold up those of others, however many are refused", async () => {
    const { userEvents, stored } = start((_attempt, { key }) => (key === "alice" ? "refuses" : "stores"));
    for (let index = 0; index < 200; index++) {
      userEvents.publish({ event: "connected", ...alice, connectionId: `a${index}` });
    }
    userEvents.publish({ event: "connected", ...alice, userId: "bob", connectionId: "b" });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(stored.map(({ key }) => key)).toEqual(["bob"]);
  });
});

describe("while Kafka is away", () => {
  test("a connection keeps one event: its last, with its own seq and time", async () => {
    let away = true;
    const { userEvents, stored } = start(() => (away ? "refuses" : "stores"));
    userEvents.publish({ event: "connected", ...alice, connectionId: "stays" });
    userEvents.publish({ event: "connected", ...alice, connectionId: "stays", told: true });
    userEvents.publish({ event: "connected", ...alice, connectionId: "goes" });
    userEvents.publish({ event: "disconnected", ...alice, connectionId: "goes", reason: "closed 1001" });
    userEvents.publish({ event: "disconnected", ...alice, connectionId: "went" });
    await vi.advanceTimersByTimeAsync(5000);
    away = false;
    await vi.advanceTimersByTimeAsync(2000);
    expect(stored.map(({ value }) => [value.event, value.connection_id, value.seq, value.reason]).sort()).toEqual([
      ["connected", "stays", 2, ""],
      ["disconnected", "goes", 4, "closed 1001"],
      ["disconnected", "went", 5, ""],
    ]);
  });

  test("of those that ended only so many are kept, and first those go of which im-logic never heard", async () => {
    let away = true;
    const { userEvents, stored, logged, counters } = start(() => (away ? "refuses" : "stores"), 3);
    const publish = (event: "connected" | "disconnected", connectionId: string): void => {
      userEvents.publish({ event, ...alice, connectionId, told: event === "disconnected" });
    };
    publish("connected", "attempted");
    await vi.advanceTimersByTimeAsync(0);
    publish("disconnected", "known");
    for (const id of ["new 1", "new 2", "new 3", "here"]) {
      publish("connected", id);
    }
    for (const id of ["new 1", "attempted", "new 2", "new 3"]) {
      publish("disconnected", id);
    }
    expect(counters.userEventsDropped).toBe(2);
    away = false;
    await vi.advanceTimersByTimeAsync(2000);
    expect(stored.map(({ value }) => value.connection_id).sort()).toEqual(["attempted", "here", "known", "new 3"]);
    expect(logged.filter(({ level }) => level === "error")).toHaveLength(1);
  });
});

describe("before leaving", () => {
  test("what waits is waited for", async () => {
    const { userEvents, stored } = start((attempt) => (attempt === 1 ? "refuses" : "stores"));
    userEvents.publish({ event: "disconnected", ...alice });
    const settled = userEvents.settled(never);
    expect(await stateOf(settled)).toBe("pending");
    await vi.advanceTimersByTimeAsync(1000);
    expect([await stateOf(settled), stored.length]).toEqual(["settled", 1]);
  });

  test("nothing waits, nothing is waited for", async () => {
    expect(await stateOf(start(() => "stores").userEvents.settled(never))).toBe("settled");
  });

  test("the signal ends the waiting and the repeating", async () => {
    let attempts = 0;
    const { userEvents } = start(() => {
      attempts += 1;
      return attempts === 1 ? "is silent" : "refuses";
    });
    userEvents.publish({ event: "disconnected", ...alice });
    userEvents.publish({ event: "disconnected", ...alice, connectionId: "c2" });
    const controller = new AbortController();
    const settled = userEvents.settled(controller.signal);
    await vi.advanceTimersByTimeAsync(5000);
    expect(await stateOf(settled)).toBe("pending");
    controller.abort();
    expect(await stateOf(settled)).toBe("settled");
    const before = attempts;
    await vi.advanceTimersByTimeAsync(5000);
    expect(attempts).toBe(before);
    expect(await stateOf(userEvents.settled(AbortSignal.abort()))).toBe("settled");
  });

  test("what comes after that is not sent, and not waited for", async () => {
    const { userEvents } = start(() => "refuses");
    userEvents.publish({ event: "disconnected", ...alice });
    const controller = new AbortController();
    const settled = userEvents.settled(controller.signal);
    controller.abort();
    await vi.advanceTimersByTimeAsync(5000);
    userEvents.publish({ event: "disconnected", ...alice, connectionId: "c2" });
    expect([await stateOf(settled), await stateOf(userEvents.settled(AbortSignal.abort()))]).toEqual([
      "settled",
      "settled",
    ]);
  });
});
