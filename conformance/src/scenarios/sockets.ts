// Opening sockets: by each way to say who one is.
import { describe, expect, test } from "vitest";
import { connect, openSocket, refusedUpgrade, register } from "../client.ts";
import type { World } from "../world.ts";

export function socketScenarios(world: () => World): void {
  const gateway = (): World["gateways"][0] => world().gateways[0];

  describe("sockets", () => {
    test("connected is the first frame and says who and where", async () => {
      const user = await register(gateway(), "opener");
      const socket = await connect(gateway(), user);
      expect(socket.frames[0]?.type).toBe("connected");
      expect(socket.connected).toEqual({
        connection_id: expect.stringMatching(/./),
        gateway_id: expect.stringMatching(/./),
        user_id: user.userId,
        device_id: expect.stringMatching(/./),
        heartbeat_interval_ms: 25_000,
        max_frame_bytes: 65_536,
        expires_at: expect.any(Number),
        server_time: expect.any(Number),
      });
      const ping = socket.send("ping", {});
      expect(await socket.next("pong")).toMatchObject({ message_id: ping, data: {} });
      await socket.close();
    });

    test("the token may come as a sub-protocol, which is not echoed, or in a first auth frame", async () => {
      const user = await register(gateway(), "opener");
      const byProtocol = openSocket(gateway().ws, ["im.v1.json", `bearer.${user.accessToken}`]);
      expect((await byProtocol.next("connected")).data.user_id).toBe(user.userId);
      await byProtocol.close();
      const byFrame = openSocket(gateway().ws, ["im.v1.json"]);
      await byFrame.opened;
      const messageId = byFrame.send("auth", { token: user.accessToken });
      byFrame.send("ping", {});
      expect(await byFrame.next("connected")).toMatchObject({ message_id: messageId, data: { user_id: user.userId } });
      await byFrame.next("pong");
      await byFrame.close();
    });

    test("an upgrade elsewhere is 404", async () => {
      expect((await refusedUpgrade(`${gateway().ws}x`)).status).toBe(404);
    });
  });
}
