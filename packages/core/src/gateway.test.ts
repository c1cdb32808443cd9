// The two flows and the calls through the gateway's public door.
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  as,
  type Frame,
  jsonOf,
  message,
  type Recorded,
  record,
  start,
  typesOf,
  unreadClose,
} from "../test/start-gateway.ts";
import { failure } from "./errors.ts";

describe("upstream", () => {
  test("a message becomes a record, and is acked when it is stored", async () => {
    const { open, upstream } = await start();
    const socket = await open(await as("alice"));
    socket.send("send-message", message, "m7");
    await expect.poll(() => typesOf(socket)).toEqual(["connected", "message-ack"]);
    await expect.poll(() => upstream.length).toBe(1);
    const [stored] = upstream;
    expect(stored?.key).toBe("c1");
    expect(stored && jsonOf(stored)).toMatchObject({
      user_id: "alice",
      device_id: "alice-phone",
      connection_id: socket.frames[0]?.data.connection_id,
      gateway_id: "g1",
      gateway_epoch: expect.any(Number),
      content: "hello",
      client_msg_id: "x1",
      trace_id: socket.frames[1]?.data.trace_id,
    });
    expect(socket.frames[1]).toMatchObject({ message_id: "m7", data: { client_msg_id: "x1", status: "accepted" } });
  });

  test("what is not stored is an error that says whether to try again", async () => {
    const refusing = failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "not now", { retryAfterMs: 1000 });
    const { open } = await start({
      producer: (real) => ({
        close: real.close,
        send: (sent) => (sent.topic === "upstream" ? Promise.reject(refusing) : real.send(sent)),
      }),
    });
    const socket = await open(await as("alice"));
    socket.send("send-message", message);
    await expect
      .poll(() => socket.frames[1])
      .toMatchObject({
        type: "error",
        message_id: "m1",
        data: { code: "unavailable", reason: "KAFKA_UNAVAILABLE", retry_after_ms: 1000, client_msg_id: "x1" },
      });
    expect(socket.closes).toEqual([]);
  });

  test("acks of one turn leave in one write", async () => {
    const { open } = await start();
    const socket = await open(await as("alice"));
    await expect.poll(() => socket.writes).toEqual([1]);
    for (let n = 0; n < 50; n++) {
      socket.send("ping", {}, String(n));
    }
    await expect.poll(() => socket.frames.length).toBe(51);
    expect(socket.writes).toEqual([1, 50]);
    expect(socket.frames.slice(1).map(({ message_id }) => Number(message_id))).toEqual(
      Array.from({ length: 50 }, (_, n) => n),
    );
  });
});

describe("downstream", () => {
  test("users, connections, exclusions, broadcast; encoded for all alike", async () => {
    const { open, bus } = await start();
    const [a1, a2, b] = [await open(await as("alice")), await open(await as("alice")), await open(await as("bob"))];
    await expect.poll(() => [a1, a2, b].map((socket) => socket.frames.length)).toEqual([1, 1, 1]);
    const idOf = (socket: Recorded): unknown => socket.frames[0]?.data.connection_id;
    const cases: readonly (readonly [object, readonly Recorded[]])[] = [
      [{ target_user_id: "alice" }, [a1, a2]],
      [{ target_user_ids: ["alice", "bob", "nobody"] }, [a1, a2, b]],
      [{ target_connection_ids: [idOf(b), "gone"] }, [b]],
      [{ target_user_id: "alice", exclude_connection_ids: [idOf(a1)] }, [a2]],
      [{ broadcast: true, exclude_connection_ids: [idOf(b)] }, [a1, a2]],
    ];
    for (const [index, [target, receivers]] of cases.entries()) {
      await bus.producer.send(record({ ...target, content: String(index) }));
      const got = (socket: Recorded): boolean => socket.frames.at(-1)?.data.content === String(index);
      await expect.poll(() => receivers.every(got)).toBe(true);
      expect([a1, a2, b].filter(got)).toEqual(receivers);
    }
  });

  test("poison is skipped and logged, what follows is delivered", async () => {
    const { open, bus, logged } = await start();
    const socket = await open(await as("alice"));
    await bus.producer.send({ ...record({}), value: new TextEncoder().encode("{") });
    await bus.producer.send(record({ target_user_id: "alice", type: "fly" }));
    await bus.producer.send(record({ target_user_id: "alice", content: "after" }));
    await expect.poll(() => socket.frames.at(-1)?.data.content).toBe("after");
    expect(logged.filter((line) => line === "warn downstream record skipped")).toHaveLength(2);
  });

  test("more than one turn should take leaves in several, in order", async () => {
    const { open, bus } = await start();
    const socket = await open(await as("alice"));
    const content = "x".repeat(10_000);
    const sent = Array.from({ length: 40 }, (_, n) => record({ target_user_id: "alice", seq_id: n, content }));
    await Promise.all(sent.map((one) => bus.producer.send(one)));
    await expect.poll(() => socket.frames.length).toBe(41);
    expect(socket.frames.slice(1).map(({ data }) => data.seq_id)).toEqual(sent.map((_, n) => n));
    // 128 KiB and the frame that passes them: 13 or 14 of these.
    expect(Math.max(...socket.writes)).toBeLessThanOrEqual(14);
  });

  test("a reader that is too slow is closed 4008, others are not", async () => {
    const { open, bus, userEvents, unread } = await start({ sendBufferBytes: 1000 });
    const [slow, fast] = [await open(await as("alice")), await open(await as("alice"))];
    await expect.poll(() => slow.frames.length).toBe(1);
    slow.buffered = 1001;
    await bus.producer.send(record({ target_user_id: "alice", content: "x" }));
    await expect.poll(() => slow.closes).toEqual([4008]);
    expect(unread).toEqual([unreadClose(4008, "alice")]);
    expect(typesOf(fast)).toEqual(["connected", "new-message"]);
    await expect
      .poll(() => userEvents.map(({ event, reason }) => [event, reason]).at(-1))
      .toEqual(["disconnected", "slow consumer"]);
  });

  test("a reader that is behind misses lossy frames from half of its buffer on, and nothing else", async () => {
    const { open, bus, gateway } = await start({ sendBufferBytes: 1000 });
    const [behind, fast] = [await open(await as("alice")), await open(await as("alice"))];
    await expect.poll(() => behind.frames.length).toBe(1);
    behind.buffered = 501;
    const online = { type: "online-status", data: { user_id: "bob", online: true, last_seen: 1 } };
    const typing = { type: "typing", data: { conversation_id: "c", user_id: "bob", typing: true } };
    for (const one of [online, typing, { content: "x" }]) {
      await bus.producer.send(record({ target_user_id: "alice", ...one }));
    }
    await expect.poll(() => typesOf(fast)).toEqual(["connected", "online-status", "typing", "new-message"]);
    expect(typesOf(behind)).toEqual(["connected", "new-message"]);
    const { deliveriesDropped, deliveriesDelivered, deliveriesOffline } = gateway.counters;
    expect([deliveriesDropped, deliveriesDelivered, deliveriesOffline]).toEqual([2, 4, 0]);
    behind.buffered = 500;
    await bus.producer.send(record({ target_user_id: "alice", ...typing }));
    await expect.poll(() => typesOf(behind).at(-1)).toBe("typing");
  });
});

describe("frames", () => {
  test("mark-read and call reach im-logic as the caller; its errors come back", async () => {
    const { open } = await start();
    const socket = await open(await as("alice"));
    socket.send("mark-read", { conversation_id: "c1", seq_id: 3 }, "1");
    socket.send("call", { method: "im.logic.v1.UserService/GetMe" }, "2");
    socket.send("mark-read", { conversation_id: "nowhere", seq_id: 3 }, "3");
    socket.send("call", { method: "im.logic.v1.UserService/GetMe", request: { caller_id: "bob" } }, "4");
    socket.send("call", { method: "im.logic.v1.UserService/Nothing" }, "5");
    const answer = (messageId: string): Frame | undefined =>
      socket.frames.find(({ message_id }) => message_id === messageId);
    await expect.poll(() => socket.frames.length).toBe(6);
    expect(answer("1")).toMatchObject({ type: "ack", data: {} });
    expect(answer("2")).toMatchObject({ type: "reply", data: { response: { user_id: "alice" } } });
    expect(answer("3")).toMatchObject({ type: "error", data: { code: "not_found", reason: "CONVERSATION_NOT_FOUND" } });
    expect(answer("4")).toMatchObject({ type: "error", data: { code: "invalid_argument", reason: "INVALID_FIELD" } });
    expect(answer("5")).toMatchObject({ type: "error", data: { code: "unimplemented", reason: "UNKNOWN_METHOD" } });
  });

  test("resume tells to read the history", async () => {
    const { open } = await start();
    const socket = await open(await as("alice"));
    socket.send("resume", { cursors: { c1: 7 } }, "r");
    await expect
      .poll(() => socket.frames[1])
      .toMatchObject({ type: "resync-required", message_id: "r", data: { conversation_ids: [] } });
  });

  test("what comes after the close is read no more, however much it is", async () => {
    const { open, gateway } = await start();
    const socket = await open(await as("alice"));
    for (let n = 0; n < 10_000; n++) {
      socket.events.text("{", 1);
      socket.events.binary();
    }
    expect(socket.closes).toEqual([1003]);
    expect([gateway.counters.framesIn.get("invalid"), gateway.counters.bytesIn]).toEqual([1, 1]);
  });

  test("a peer's own codes are one count, and none of ours", async () => {
    const { open, gateway } = await start();
    for (const code of [1000, 1005, 3000, 3001, 4008, 4500, 4999]) {
      (await open(await as("alice"))).events.closed(code, "");
    }
    const slow = await open(await as("alice"));
    slow.events.binary();
    slow.events.closed(1006, "");
    expect([...gateway.counters.connectionsClosed]).toEqual([
      [1000, 1],
      [1005, 1],
      ["other", 5],
      [1003, 1],
    ]);
  });

  test("an answer to who has gone is not counted as a frame that went out", async () => {
    const { open, gateway } = await start();
    const socket = await open(await as("alice"));
    const before = gateway.counters.framesOut.get("reply") ?? 0;
    socket.send("call", { method: "im.logic.v1.UserService/GetMe" });
    socket.events.closed(1006, "");
    const other = await open(await as("bob"));
    other.send("call", { method: "im.logic.v1.UserService/GetMe" });
    await expect.poll(() => typesOf(other)).toContain("reply");
    expect(gateway.counters.framesOut.get("reply")).toBe(before + 1);
  });

  test("ten bad frames are answered, the eleventh closes 4500; a binary one closes 1003", async () => {
    const { open } = await start();
    const [text, binary] = [await open(await as("alice")), await open(await as("alice"))];
    for (let n = 0; n < 11; n++) {
      text.events.text("{", 1);
    }
    expect(text.closes).toEqual([4500]);
    expect(typesOf(text).filter((type) => type === "error")).toHaveLength(10);
    binary.events.binary();
    expect(binary.closes).toEqual([1003]);
  });
});
