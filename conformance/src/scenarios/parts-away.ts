// Parts that are away at a start, while running, or frozen: the programs say what they wait for, and work when it comes.
import { waitFor } from "@im-gateway/tools/process";
import { describe, expect, test } from "vitest";
import { asRecord, connect, direct, refusedUpgrade, register, rest } from "../client.ts";
import type { GatewayAddress } from "../world.ts";
import { freeGateway, launch } from "../worlds/program.ts";
import type { RealWorld } from "../worlds/real.ts";

/** `grpc.logic.timeout` of every gateway here, and what a busy machine adds. */
const callTimeoutMs = 5000;
const slackMs = 1500;

export function partsAwayScenarios(world: () => RealWorld): void {
  const [a, b] = [() => world().gateways[0], () => world().gateways[1]];

  describe("parts away", () => {
    test("im-logic frozen: each call settles within its deadline, sends are acked, and nothing is lost", async () => {
      const [alice, bob] = [await register(a(), "alice"), await register(b(), "bob")];
      const conversationId = await direct(a(), alice, bob);
      const [sender, receiver] = [await connect(a(), alice), await connect(b(), bob)];
      await sender.say(conversationId, "before");
      await receiver.next("new-message");
      world().logic.freeze();
      try {
        const startedMs = performance.now();
        const byRest = rest(a(), "GET", "/users/me", { token: alice.accessToken });
        const read = sender.send("mark-read", { conversation_id: conversationId, seq_id: 1 });
        const short = sender.send("call", { method: "im.logic.v1.UserService/GetMe", timeout_ms: 300 });
        const resume = sender.send("resume", { cursors: {} });
        await sender.say(conversationId, "meanwhile");
        const inTime = await sender.next("error", ({ message_id }) => message_id === short);
        expect(inTime.data).toMatchObject({ code: "deadline_exceeded", reason: "LOGIC_TIMEOUT" });
        expect(performance.now() - startedMs).toBeLessThan(300 + slackMs);
        const late = await sender.next("error", ({ message_id }) => message_id === read);
        expect(late.data).toMatchObject({ code: "deadline_exceeded", reason: "LOGIC_TIMEOUT" });
        const closing = await sender.next("resync-required");
        expect(closing).toMatchObject({ message_id: resume, data: { reason: "LOGIC_UNAVAILABLE" } });
        expect(await byRest).toMatchObject({ status: 504, body: { code: "deadline_exceeded" } });
        expect(performance.now() - startedMs).toBeLessThan(callTimeoutMs + slackMs);
      } finally {
        world().logic.thaw();
      }
      await receiver.next("new-message", ({ data }) => data.content === "meanwhile");
      expect((await rest(a(), "GET", "/users/me", { token: alice.accessToken })).status).toBe(200);
      await Promise.all([sender.close(), receiver.close()]);
    }, 60_000);

    test("Kafka, etcd and im-logic away: a gateway says what it waits for, those that run keep their sockets, and all work when they come", async () => {
      const alice = await register(a(), "alice");
      const sender = await connect(a(), alice);
      const { kafka, etcd, logic } = world();
      await Promise.all([kafka.kill(), etcd.kill(), logic.kill()]);
      const { gateway: c, settings } = await freeGateway();
      const program = launch("gateway-c", world().command, [
        ...world().settings,
        "gateway_id=gateway-c",
        "grpc.logic.service_name=im-logic",
        ...settings,
      ]);
      const logicStarts = logic.start();

      await waitForReason(c, /^registry: /);
      await waitForReason(c, /^im-logic: no im-logic is registered/);
      expect((await fetch(`${c.http}/health`)).status).toBe(200);
      expect(await refusedUpgrade(`${c.ws}?token=${alice.accessToken}`)).toMatchObject({
        status: 503,
        body: { code: "unavailable" },
      });
      expect((await rest(c, "GET", "/users/me", { token: alice.accessToken })).status).toBe(503);
      await program.waitForLine(/"level":"warn".*"message":"waiting".*"registry: /, 15_000);
      await waitFor(async () => (await fetch(new URL("/ready", world().logicMetrics))).status === 503, {
        timeoutMs: 15_000,
        what: "im-logic to answer that it is not ready",
      });
      const waiting = (line: string): boolean =>
        /"message":"waiting".*"reasons":\["kafka: [^"]*","etcd: not registered"\]/.test(line);
      await waitFor(() => logic.output.some(waiting), { timeoutMs: 15_000, what: "im-logic to say what it waits for" });
      for (const running of [a(), b()]) {
        await waitForReason(running, /^kafka: /);
      }

      await etcd.restart();
      await waitForReason(c, /^kafka: /);
      expect((await reasonsOf(c)).filter((reason) => reason.startsWith("registry"))).toEqual([]);

      await kafka.restart();
      await logicStarts;
      await program.waitForLine(/"message":"listening"/, 30_000);
      for (const gateway of [a(), b(), c]) {
        await waitFor(async () => (await reasonsOf(gateway)).length === 0, { timeoutMs: 60_000, what: "to be ready" });
      }
      const ping = sender.send("ping", {});
      await sender.next("pong", ({ message_id }) => message_id === ping);
      const carol = await register(c, "carol");
      const receiver = await connect(c, carol);
      await sender.say(await direct(a(), alice, carol), "at last");
      await receiver.next("new-message", ({ data }) => data.content === "at last");
      await Promise.all([sender.close(), receiver.close()]);
      expect((await program.stop()).code).toBe(0);
    }, 120_000);
  });
}

async function reasonsOf({ http }: GatewayAddress): Promise<readonly string[]> {
  const response = await fetch(`${http}/ready`);
  const { ready, reasons } = asRecord(await response.json());
  const listed = Array.isArray(reasons) ? reasons.map(String) : [];
  expect([response.status, ready]).toEqual(listed.length === 0 ? [200, true] : [503, false]);
  return listed;
}

async function waitForReason(gateway: GatewayAddress, reason: RegExp): Promise<void> {
  await waitFor(async () => (await reasonsOf(gateway)).some((one) => reason.test(one)), {
    timeoutMs: 20_000,
    what: `${gateway.http} to say ${reason}`,
  });
}
