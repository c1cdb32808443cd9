// Connections' lives through the gateway's public door: who they are, and what time does to them.
import { describe, expect, test, vi } from "vitest";
import { as, ends, message, start, token, typesOf, unreadClose } from "../../test/start-gateway.ts";

describe("identity", () => {
  test.each([
    ["no token later than a bad one", "?token=bad", 401],
    ["an empty one", "?token=", 401],
  ])("an upgrade with %s is refused", async (_name, query, status) => {
    const { gateway } = await start();
    const upgrade = await gateway.upgrade({ path: `/ws${query}`, headers: new Headers() });
    expect(upgrade.accepted ? 101 : upgrade.response.status).toBe(status);
  });

  test("a first auth frame; what came while it was verified is handled after it, in order", async () => {
    const { open, userEvents } = await start();
    const socket = await open();
    socket.send("auth", { token: await token("alice") }, "a");
    socket.send("ping", {}, "b");
    socket.send("ping", {}, "c");
    await expect
      .poll(() => socket.frames.map(({ type, message_id }) => `${type} ${message_id}`))
      .toEqual(["connected a", "pong b", "pong c"]);
    await expect.poll(() => userEvents.map(({ event, user_id }) => [event, user_id])).toEqual([["connected", "alice"]]);
  });

  test("anything else before it is refused, the socket lives", async () => {
    const { open } = await start();
    const socket = await open();
    socket.send("send-message", message);
    await expect.poll(() => socket.frames[0]).toMatchObject({ type: "error", data: { code: "unauthenticated" } });
    socket.send("auth", { token: await token("alice") });
    await expect.poll(() => typesOf(socket)).toEqual(["error", "connected"]);
  });

  test.each([
    ["a bad token", "bad", 4501],
    ["no token", "", 4501],
    ["an expired one", () => token("alice", {}, Math.floor(Date.now() / 1000) - 10), 4003],
  ])("%s in the frame closes", async (_name, value, code) => {
    const { open, userEvents } = await start();
    const socket = await open();
    socket.send("auth", { token: typeof value === "string" ? value : await value() });
    await expect.poll(() => socket.closes).toEqual([code]);
    expect(userEvents).toEqual([]);
  });

  test("a later token renews it; one of another user or device closes 4501", async () => {
    const { open } = await start();
    const socket = await open(await as("alice"));
    socket.send("auth", { token: await token("alice", { sid: "new" }) }, "r");
    await expect
      .poll(() => socket.frames.at(-1))
      .toMatchObject({ type: "authenticated", message_id: "r", data: { user_id: "alice" } });
    for (const other of [await token("bob"), await token("alice", { did: "tablet" })]) {
      const victim = await open(await as("alice"));
      victim.send("auth", { token: other });
      await expect.poll(() => victim.closes).toEqual([4501]);
    }
    expect(socket.closes).toEqual([]);
  });

  test("without did a connection is its own device", async () => {
    const { open } = await start();
    const socket = await open(`?token=${await token("alice", { did: undefined })}`);
    await expect.poll(() => socket.frames[0]?.data.device_id).toBe(socket.frames[0]?.data.connection_id);
  });
});

describe("time", () => {
  test("silence is asked about and then ends; whatever comes counts as life", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "Date"] });
    ends.push(async () => {
      vi.useRealTimers();
    });
    const { open, unread } = await start();
    const [alive, dead, waiting] = [await open(await as("alice")), await open(await as("bob")), await open()];
    vi.advanceTimersByTime(1200);
    expect([alive.pings, dead.pings]).toEqual([1, 1]);
    alive.events.activity();
    vi.advanceTimersByTime(700);
    expect([alive.closes, dead.closes, waiting.closes]).toEqual([[], [4009], []]);
    vi.advanceTimersByTime(300);
    expect(waiting.closes).toEqual([4001]);
    expect(unread).toEqual([unreadClose(4009, "bob")]);
  });

  test("a token's end is announced a minute before, once, and closes 4003", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "Date"] });
    ends.push(async () => {
      vi.useRealTimers();
    });
    const { open } = await start();
    const expires = Math.floor(Date.now() / 1000) + 90;
    const socket = await open(`?token=${await token("alice", {}, expires)}`);
    for (let second = 0; second < 100 && socket.closes.length === 0; second++) {
      vi.advanceTimersByTime(1000);
      socket.events.activity();
      await Promise.resolve();
    }
    expect(typesOf(socket)).toEqual(["connected", "expiring"]);
    expect(socket.frames[1]?.data).toEqual({ expires_at: expires });
    expect(socket.closes).toEqual([4003]);
  });
});
