// Sockets that do not read, or are not there any more though nobody said so: found in time, and nobody else notices.
import { startFaultProxy } from "@im-gateway/tools/fault-proxy";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { asRecords, connect, register, type User } from "../client.ts";
import { closes, scrape } from "../scrape.ts";
import type { World } from "../world.ts";
import { type StrictGateway, startStrictGateway } from "./bad-input/strict-gateway.ts";

const heartbeat = { intervalMs: 500, timeoutMs: 500, sweepMs: 125 } as const;
/** For a busy machine. */
const slackMs = 1500;

export function slowSocketScenarios(world: () => World): void {
  describe("slow and dead sockets", () => {
    let quick: StrictGateway;
    let narrow: StrictGateway;
    beforeAll(async () => {
      const { command } = world();
      [quick, narrow] = await Promise.all([
        startStrictGateway(command, [
          `websocket.heartbeat_interval=${heartbeat.intervalMs}ms`,
          `websocket.heartbeat_timeout=${heartbeat.timeoutMs}ms`,
        ]),
        startStrictGateway(command, ["websocket.send_buffer_bytes=64KiB"]),
      ]);
    });
    afterAll(() => Promise.all([quick.stop(), narrow.stop()]));

    /** A frame of about that size for the user, through the internal port. */
    const push = async (gateway: StrictGateway, { userId }: User, bytes: number): Promise<void> => {
      const data = {
        conversation_id: "c",
        message_id: "m",
        sender_id: "s",
        content: "x".repeat(bytes),
        message_type: 1,
      };
      const body = JSON.stringify({ user_ids: [userId], frame: { type: "new-message", data } });
      const headers = { "content-type": "application/json" };
      const { status } = await fetch(`${gateway.internal}/internal/v1/push`, { method: "POST", headers, body });
      expect(status).toBe(200);
    };

    /** Whose sockets are open. */
    const present = async (gateway: StrictGateway): Promise<readonly unknown[]> => {
      const { connections } = await (await fetch(`${gateway.internal}/internal/v1/connections`)).json();
      return asRecords(connections).map(({ user_id }) => user_id);
    };

    test("one that is half open is found by the heartbeat, also while it is written to", async () => {
      const proxy = await startFaultProxy(Number(new URL(quick.http).port));
      const user = await register(quick, "half-open");
      const before = await scrape(quick.metrics);
      const socket = await connect({ ...quick, ws: `ws://${proxy.endpoint}/ws` }, user);
      proxy.swallow("all");
      const silentMs = performance.now();
      const writing = setInterval(() => void push(quick, user, 10), 20);
      await expect.poll(() => present(quick), { timeout: 10_000, interval: 20 }).toEqual([]);
      const foundMs = performance.now() - silentMs;
      clearInterval(writing);
      const { intervalMs, timeoutMs, sweepMs } = heartbeat;
      expect(foundMs).toBeLessThan(intervalMs + timeoutMs + 2 * sweepMs + slackMs);
      await expect.poll(closes(quick, before), { timeout: 10_000, interval: 20 }).toEqual({ 'code="4009"': 1 });
      proxy.close();
      await socket.closed;
    });

    test("one that never reads is closed 4008, what waited for it is let go, and others get theirs meanwhile", async () => {
      const [slow, other] = [await register(narrow, "slow"), await register(narrow, "other")];
      const before = await scrape(narrow.metrics);
      const reader = await connect(narrow, other);
      const socket = new WebSocket(`${narrow.ws}?token=${slow.accessToken}`);
      await new Promise((resolve) => socket.once("open", resolve));
      socket.pause();
      let pushes = 0;
      const slowest = { ms: 0 };
      // Until the buffers of both kernels are full, and then ours.
      while (Object.keys(await closes(narrow, before)()).length === 0) {
        pushes += 1;
        expect(pushes).toBeLessThan(2000);
        await push(narrow, slow, 32 * 1024);
        const sentMs = performance.now();
        await push(narrow, other, pushes);
        await reader.next("new-message", ({ data }) => String(data.content).length === pushes);
        slowest.ms = Math.max(slowest.ms, performance.now() - sentMs);
      }
      expect(await closes(narrow, before)()).toEqual({ 'code="4008"': 1 });
      expect(slowest.ms).toBeLessThan(slackMs);
      const buffered = async (): Promise<number | undefined> =>
        (await scrape(narrow.metrics)).values.get("im_gateway_websocket_buffered_bytes");
      await expect.poll(buffered).toBe(0);
      expect(await present(narrow)).toEqual([other.userId]);
      socket.terminate();
      await reader.close();
    });
  });
}
