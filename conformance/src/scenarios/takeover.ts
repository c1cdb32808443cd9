// One gateway id, two processes: who has it, who gets it, and what becomes of the other.
import { Kafka, logLevel } from "kafkajs";
import { describe, expect, test } from "vitest";
import { asRecord, connect, direct, register } from "../client.ts";
import { freeGateway, launch } from "../worlds/program.ts";
import type { RealWorld } from "../worlds/real.ts";

const startTimeoutMs = 30_000;
/** The worst case; the median is under 3 s. */
const takeoverMs = 5000;

export function takeoverScenarios(world: () => RealWorld): void {
  const start = async (id: string) => {
    const { gateway, settings } = await freeGateway();
    const own = [`gateway_id=${id}`, "coordinator.lease_ttl=2s", "grpc.logic.service_name=im-logic"];
    const part = launch(id, world().command, [...world().settings, ...settings, ...own]);
    const startedMs = performance.now();
    await part.waitForLine(/"message":"listening"/, startTimeoutMs);
    return { part, gateway, tookMs: performance.now() - startedMs };
  };

  describe("a gateway id", () => {
    test.each([
      ["that was configured keeps its topic", ["gateway_id=gateway-named"], true],
      ["that a start made up leaves no topic behind", [], false],
    ])(
      "%s after a drain",
      async (_name, id, stays) => {
        const { settings } = await freeGateway();
        const own = [...id, "grpc.logic.service_name=im-logic"];
        const part = launch("gateway-of-a-day", world().command, [...world().settings, ...settings, ...own]);
        const line = await part.waitForLine(/"message":"listening"/, startTimeoutMs);
        const topic = `downstream-${asRecord(JSON.parse(line)).gateway_id}`;
        const topics = async (): Promise<readonly string[]> => {
          const admin = new Kafka({ brokers: [...world().kafka.brokers], logLevel: logLevel.NOTHING }).admin();
          await admin.connect();
          const names = await admin.listTopics();
          await admin.disconnect();
          return names;
        };
        expect(await topics()).toContain(topic);
        expect((await part.stop()).code).toBe(0);
        expect((await topics()).includes(topic)).toBe(stays);
      },
      60_000,
    );

    test("of a process that was killed is another's in time", async () => {
      const dead = await start("gateway-dead");
      await dead.part.kill();
      const next = await start("gateway-dead");
      expect(next.tookMs).toBeLessThan(takeoverMs);
      expect((await next.part.stop()).code).toBe(0);
    }, 60_000);

    test("of a frozen process is another's, and the first, thawed, sends everybody away and ends with 1", async () => {
      const first = await start("gateway-frozen");
      const [alice, bob] = [await register(first.gateway, "alice"), await register(first.gateway, "bob")];
      const conversationId = await direct(first.gateway, alice, bob);
      const left = await connect(first.gateway, alice);
      first.part.freeze();
      const second = await start("gateway-frozen");
      const [sender, receiver] = [await connect(second.gateway, bob), await connect(second.gateway, alice)];
      await sender.say(conversationId, "before the thaw");
      await receiver.next("new-message", ({ data }) => data.content === "before the thaw");
      first.part.thaw();
      expect((await left.closed).code).toBe(1012);
      expect(left.frames.at(-1)?.type).toBe("resync-required");
      expect((await first.part.exited).code).toBe(1);
      expect(first.part.output.join("\n")).toContain("another process holds the key of gateway-frozen");
      await sender.say(conversationId, "after it");
      await receiver.next("new-message", ({ data }) => data.content === "after it");
      expect((await fetch(`${second.gateway.http}/ready`)).status).toBe(200);
      expect((await second.part.stop()).code).toBe(0);
    }, 90_000);
  });
}
