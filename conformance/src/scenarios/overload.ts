// A gateway that has too much of something: what it refuses, and that it goes on for those it has.
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { connect, direct, refusedUpgrade, register, rest, type User } from "../client.ts";
import { closes, scrape } from "../scrape.ts";
import type { World } from "../world.ts";
import { type StrictGateway, startStrictGateway } from "./bad-input/strict-gateway.ts";

export function overloadScenarios(world: () => World): void {
  describe("overload", () => {
    let gateway: StrictGateway;
    const start = async (...settings: readonly string[]): Promise<void> => {
      gateway = await startStrictGateway(world().command, settings);
    };
    afterEach(() => gateway.stop());

    const refused = async (reason: string): Promise<number> =>
      (await scrape(gateway.metrics)).values.get(`im_gateway_refused_total{reason="${reason}"}`) ?? 0;

    const push = async ({ userId }: User, content: string): Promise<void> => {
      const data = { conversation_id: "c", message_id: "m", sender_id: "s", content, message_type: 1 };
      const body = JSON.stringify({ user_ids: [userId], frame: { type: "new-message", data } });
      const headers = { "content-type": "application/json" };
      await fetch(`${gateway.internal}/internal/v1/push`, { method: "POST", headers, body });
    };

    test("upgrades past their rate get 503 and a hint before their token is looked at", async () => {
      await start("limits.accept_rate=1");
      const answers = await Promise.all([1, 2, 3, 4, 5].map(() => refusedUpgrade(`${gateway.ws}?token=bad`)));
      expect(answers.map(({ status }) => status).sort()).toEqual([401, 401, 503, 503, 503]);
      const late = answers.find(({ status }) => status === 503);
      expect(late?.body).toMatchObject({ code: "unavailable", details: [{ reason: "OVERLOADED" }, {}] });
      expect(Number(late?.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await refused("accept_rate")).toBe(3);
    });

    test("sockets without a token do not keep out those with one", async () => {
      await start("limits.unauthenticated_connections=1", "websocket.auth_timeout=10s");
      const user = await register(gateway, "user");
      const silent = new WebSocket(gateway.ws);
      await new Promise((resolve) => silent.once("open", resolve));
      expect((await refusedUpgrade(gateway.ws)).status).toBe(503);
      const socket = await connect(gateway, user);
      silent.terminate();
      await socket.close();
    });

    test("messages past their rate are refused by both doors with a hint, and taken when they come again", async () => {
      await start("limits.messages_per_second=1");
      const [user, peer] = [await register(gateway, "user"), await register(gateway, "peer")];
      const conversationId = await direct(gateway, user, peer);
      const message = (): Readonly<Record<string, unknown>> => ({
        conversation_id: conversationId,
        message_type: 1,
        content: "x",
        client_msg_id: randomUUID(),
      });
      const socket = await connect(gateway, user);
      const [first, second] = [socket.send("send-message", message()), socket.send("send-message", message())];
      await socket.next("message-ack", ({ message_id }) => message_id === first);
      const { data } = await socket.next("error", ({ message_id }) => message_id === second);
      expect(data).toMatchObject({ code: "resource_exhausted", reason: "RATE_LIMITED" });
      expect(data.retry_after_ms).toBeGreaterThan(0);
      const late = message();
      const post = (body = message()): ReturnType<typeof rest> =>
        rest(gateway, "POST", "/messages", { token: user.accessToken, body });
      const answers = await Promise.all([post(), post(), post()]);
      const tooMany = answers.find(({ status }) => status === 429);
      expect(tooMany?.body).toMatchObject({ code: "resource_exhausted", details: [{ reason: "RATE_LIMITED" }, {}] });
      expect(Number(tooMany?.headers.get("retry-after"))).toBeGreaterThan(0);
      await expect.poll(async () => (await post(late)).status, { timeout: 10_000, interval: 500 }).toBe(202);
      expect(await refused("messages")).toBeGreaterThanOrEqual(2);
      await socket.close();
    });

    test("without memory: no socket, no request; health and metrics answer", async () => {
      await start("limits.memory_bytes=64MiB");
      const status = async (path: string): Promise<number> => (await fetch(gateway.http + path)).status;
      await expect.poll(() => status("/api/v1/users/me"), { timeout: 10_000 }).toBe(503);
      const body = JSON.stringify({ username: "u", password: "p" });
      const headers = { "content-type": "application/json" };
      const login = await fetch(`${gateway.http}/api/v1/auth/login`, { method: "POST", headers, body });
      expect([login.status, Number(login.headers.get("retry-after")) > 0]).toEqual([503, true]);
      expect((await refusedUpgrade(gateway.ws)).status).toBe(503);
      expect(await status("/health")).toBe(200);
      expect(await refused("memory")).toBeGreaterThanOrEqual(3);
    });

    test("past the budget of all sockets the fullest is closed 4008, the others stay", async () => {
      await start("limits.buffered_bytes=256KiB", "websocket.send_buffer_bytes=64MiB");
      const [slow, other] = [await register(gateway, "slow"), await register(gateway, "other")];
      const before = await scrape(gateway.metrics);
      const reader = await connect(gateway, other);
      const socket = new WebSocket(`${gateway.ws}?token=${slow.accessToken}`);
      await new Promise((resolve) => socket.once("open", resolve));
      socket.pause();
      let pushes = 0;
      // Until the buffers of both kernels are full, and then ours.
      while (Object.keys(await closes(gateway, before)()).length === 0) {
        pushes += 1;
        expect(pushes).toBeLessThan(2000);
        await push(slow, "x".repeat(32 * 1024));
      }
      expect(await closes(gateway, before)()).toEqual({ 'code="4008"': 1 });
      expect(await refused("buffered_bytes")).toBe(1);
      await push(other, "still here");
      await reader.next("new-message", ({ data }) => data.content === "still here");
      socket.terminate();
      await reader.close();
    });
  });
}
