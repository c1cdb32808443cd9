// Presence while what holds it dies: a gateway, and im-logic with all that it knew.
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { asRecords, connect, direct, rest, type User, untilOnline } from "../client.ts";
import { createProgram, freeGateway } from "../worlds/program.ts";
import type { RealWorld } from "../worlds/real.ts";
import { about, friends, statuses } from "./presence.ts";

/** Of the gateway that dies. */
const leaseTtlMs = 2000;
/** Then its key has to stay away so long, and so long nobody is announced as gone. */
const deadAfterMs = 10_000;
const debounceMs = 3000;

export function realPresenceScenarios(world: () => RealWorld): void {
  const [a, b] = [() => world().gateways[0], () => world().gateways[1]];

  async function online(asking: User, user: User): Promise<unknown> {
    const { body } = await rest(a(), "GET", `/presence?user_ids=${user.userId}`, { token: asking.accessToken });
    return asRecords(body.presences)[0]?.online;
  }

  describe("presence while parts die", () => {
    test("a gateway is killed: who was there is announced as gone ten seconds after its key went, who came back in time is not", async () => {
      const { gateway, settings } = await freeGateway();
      const dying = createProgram(
        "gateway-c",
        world().command,
        [...world().settings, "gateway_id=gateway-c", `coordinator.lease_ttl=${leaseTtlMs}ms`, ...settings],
        { holdsSockets: true, config: "config.yaml" },
      );
      await dying.start();
      const [gone, back] = [await friends(a()), await friends(a())];
      try {
        await connect(gateway, gone.bob);
        await connect(gateway, back.bob);
        await gone.a.next("online-status", about(gone.bob, true));
        await back.a.next("online-status", about(back.bob, true));
      } finally {
        await dying.kill();
      }
      const killedMs = performance.now();
      const again = await connect(b(), back.bob);
      await expect.poll(() => statuses(gone.a, gone.bob), { timeout: 30_000 }).toEqual([true, false]);
      const tookMs = performance.now() - killedMs;
      expect(tookMs).toBeGreaterThan(deadAfterMs);
      expect(tookMs).toBeLessThan(leaseTtlMs + deadAfterMs + debounceMs + 6000);
      expect(await online(gone.alice, gone.bob)).toBe(false);
      expect(await online(back.alice, back.bob)).toBe(true);
      expect(statuses(back.a, back.bob)).toEqual([true]);
      await Promise.all([gone.a, back.a, again].map((socket) => socket.close()));
    }, 60_000);

    test("im-logic is killed and has lost who is where: within seconds it knows everyone again, and nobody is told", async () => {
      const { alice, bob, a: socket } = await friends(a());
      const theirs = await connect(b(), bob);
      await socket.next("online-status", about(bob, true));
      await world().logic.kill();
      const database = new DatabaseSync(join(world().logicDataDir, "im-logic.sqlite"));
      database.exec("DELETE FROM routes; DELETE FROM gateways; DELETE FROM ended_connections");
      database.close();
      await world().logic.start();
      const startedMs = performance.now();
      await untilOnline(a(), bob);
      expect(await online(alice, bob)).toBe(true);
      // Known, not only not yet announced as gone.
      await socket.say(await direct(a(), alice, bob), "still there");
      await theirs.next("new-message", ({ data }) => data.content === "still there");
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      await theirs.close();
      await expect.poll(() => statuses(socket, bob), { timeout: 10_000 }).toEqual([true, false]);
      await socket.close();
    }, 60_000);
  });
}
