// The gateway's own life: what it says of who comes and goes, its drain, its health.
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { as, start, token, typesOf } from "../test/start-gateway.ts";
import { failure } from "./errors.ts";

describe("life", () => {
  test("connected and disconnected are told in order, with the epoch", async () => {
    const { open, userEvents } = await start();
    const socket = await open(await as("alice"));
    socket.events.closed(1001, "");
    await expect
      .poll(() => userEvents)
      .toMatchObject([
        { event: "connected", user_id: "alice", device_id: "alice-phone", gateway_id: "g1", seq: 1, reason: "" },
        { event: "disconnected", user_id: "alice", seq: 2, reason: "closed 1001" },
      ]);
    expect(userEvents[0]?.connection_id).toBe(socket.frames[0]?.data.connection_id);
    expect(userEvents[0]?.gateway_epoch).toBe(userEvents[1]?.gateway_epoch);
    expect(Number(userEvents[0]?.gateway_epoch)).toBeGreaterThan(0);
  });

  test("a user event that Kafka does not take is sent again", async () => {
    let refusals = 2;
    const { open, userEvents } = await start({
      producer: (real) => ({
        close: real.close,
        send: (sent) =>
          sent.topic === "user-events" && refusals-- > 0
            ? Promise.reject(failure(Code.Unavailable, "X", "x"))
            : real.send(sent),
      }),
    });
    await open(await as("alice"));
    await expect.poll(() => userEvents.length, { timeout: 5000 }).toBe(1);
  });

  test("a drain says goaway, closes 1012, tells everybody's end and takes nobody new", async () => {
    const { gateway, open, userEvents } = await start();
    const [socket, waiting] = [await open(await as("alice")), await open()];
    expect(gateway.unready()).toEqual([]);
    await gateway.drain(AbortSignal.timeout(5000));
    expect(typesOf(socket)).toEqual(["connected", "goaway"]);
    expect([socket.closes, waiting.closes]).toEqual([[1012], [1012]]);
    expect(typesOf(waiting)).toEqual([]);
    await expect.poll(() => userEvents.map(({ event }) => event)).toEqual(["connected", "disconnected"]);
    expect(gateway.unready()).not.toEqual([]);
    const late = await gateway.upgrade({ path: await as("alice"), headers: new Headers() });
    expect(late.accepted ? 101 : late.response.status).toBe(503);
  });

  test("/health, /ready and a REST call through fetch", async () => {
    const { gateway } = await start();
    const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
      gateway.fetch(new Request(`http://x${path}`, { headers }));
    expect(await (await get("/health")).json()).toEqual({
      status: "ok",
      gateway_id: "g1",
      instance: gateway.instance,
      version: "1",
    });
    expect(await (await get("/ready")).json()).toEqual({ ready: true, reasons: [] });
    const me = await get("/api/v1/users/me", { authorization: `Bearer ${await token("alice")}` });
    expect(await me.json()).toMatchObject({ user_id: "alice" });
    expect((await get("/api/v1/users/me")).status).toBe(401);
  });
});
