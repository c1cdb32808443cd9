// Who is told that somebody comes and goes.
import { describe, expect, test } from "vitest";
import { befriend, type ChatSocket, connect, register, rest, type User, untilOnline } from "../client.ts";
import type { GatewayAddress, World } from "../world.ts";

/** How long somebody without a connection still counts as online. */
const debounceMs = 3000;

export function presenceScenarios(world: () => World): void {
  const first = (): GatewayAddress => world().gateways[0];
  const second = (): GatewayAddress => world().gateways[1];

  describe("presence", () => {
    test("a friend is told when the first device comes, and once when the last has gone, not of what lies between", async () => {
      const { a, bob } = await friends(first());
      const b1 = await connect(second(), bob);
      await a.next("online-status", about(bob, true));
      const b2 = await connect(first(), bob);
      await untilOnline(first(), bob);
      await b1.close();
      // A hop: the new gateway may be heard before the old one, or after it.
      await b2.close();
      const b3 = await connect(second(), bob);
      await b3.close();
      const leftMs = performance.now();
      const { data } = await a.next("online-status", about(bob, false));
      expect(performance.now() - leftMs).toBeGreaterThan(debounceMs - 500);
      expect(Math.abs(Number(data.last_seen) - Date.now() / 1000)).toBeLessThan(60);
      expect(statuses(a, bob)).toEqual([true, false]);
      const b4 = await connect(first(), bob);
      await expect.poll(() => statuses(a, bob), { timeout: 5000 }).toEqual([true, false, true]);
      await Promise.all([a.close(), b4.close()]);
    });

    test("a stranger is told nothing, nor is who blocks or is blocked", async () => {
      const { a, bob } = await friends(first());
      const [eve, blocked] = [await register(first(), "eve"), await register(first(), "blocked")];
      await befriend(first(), blocked, bob);
      const path = `/friends/${blocked.userId}:block`;
      expect((await rest(first(), "POST", path, { token: bob.accessToken, body: {} })).status).toBe(200);
      const others = [await connect(first(), eve), await connect(second(), blocked)];
      await untilOnline(first(), blocked);
      const b = await connect(second(), bob);
      await a.next("online-status", about(bob, true));
      for (const socket of others) {
        // What came before the pong is all that was on the way.
        await socket.next("pong", pong(socket));
        expect(statuses(socket, bob)).toEqual([]);
      }
      await Promise.all([a, b, ...others].map((socket) => socket.close()));
    });
  });
}

/** Alice is connected, and known to be. */
export async function friends(gateway: GatewayAddress): Promise<{ alice: User; bob: User; a: ChatSocket }> {
  const [alice, bob] = [await register(gateway, "alice"), await register(gateway, "bob")];
  await befriend(gateway, alice, bob);
  const a = await connect(gateway, alice);
  await untilOnline(gateway, alice);
  return { alice, bob, a };
}

export function about(
  user: User,
  online: boolean,
): (frame: { readonly data: Readonly<Record<string, unknown>> }) => boolean {
  return ({ data }) => data.user_id === user.userId && data.online === online;
}

/** All that the socket was told of the user's presence, in order. */
export function statuses(socket: ChatSocket, user: User): readonly unknown[] {
  return socket.frames
    .filter(({ type, data }) => type === "online-status" && data.user_id === user.userId)
    .map(({ data }) => data.online);
}

function pong(socket: ChatSocket): ({ message_id }: { readonly message_id: string }) => boolean {
  const ping = socket.send("ping", {});
  return ({ message_id }) => message_id === ping;
}
