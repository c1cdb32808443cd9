// Opening sockets, and frames that are refused: a clear answer, and nobody else notices.
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

    test.each([
      ["an empty token", () => "?token="],
      ["nonsense", () => "?token=nonsense"],
      ["an unsigned token", () => "?token=eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJ4In0."],
    ])("an upgrade with %s gets 401 and a JSON body", async (_name, query) => {
      const answer = await refusedUpgrade(gateway().ws + query());
      expect(answer).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
    });

    test("a refresh token opens no socket", async () => {
      const user = await register(gateway(), "refresher");
      expect((await refusedUpgrade(`${gateway().ws}?token=${user.refreshToken}`)).status).toBe(401);
    });

    test("a bad token in the first auth frame closes 4501", async () => {
      const socket = openSocket(gateway().ws);
      await socket.opened;
      socket.send("auth", { token: "nonsense" });
      expect((await socket.closed).code).toBe(4501);
    });

    test.each([
      ["malformed JSON", '{"type":', "MALFORMED_JSON"],
      ["an array", "[]", "MALFORMED_FRAME"],
      ["a duplicate key", '{"type":"ping","type":"ping"}', "MALFORMED_JSON"],
      ["an unknown type", '{"type":"fly","message_id":"m1"}', "UNKNOWN_FRAME_TYPE"],
      ["no type", '{"message_id":"m1"}', "INVALID_FIELD"],
      [
        "a missing field",
        '{"type":"send-message","data":{"conversation_id":"c","message_type":1,"content":"x"}}',
        "INVALID_FIELD",
      ],
      ["a mistyped field", '{"type":"mark-read","data":{"conversation_id":"c","seq_id":"x"}}', "INVALID_FIELD"],
    ])("%s is answered by an error, the socket lives", async (_name, text, reason) => {
      const user = await register(gateway(), "clumsy");
      const bystander = await connect(gateway(), user);
      const socket = await connect(gateway(), user);
      socket.sendText(text);
      expect((await socket.next("error")).data).toMatchObject({ code: "invalid_argument", reason });
      for (const alive of [socket, bystander]) {
        alive.send("ping", {});
        await alive.next("pong");
        await alive.close();
      }
    });

    test("more than ten bad frames in a minute close 4500", async () => {
      const user = await register(gateway(), "vandal");
      const socket = await connect(gateway(), user);
      for (let i = 0; i < 11; i++) {
        socket.sendText("{");
      }
      expect((await socket.closed).code).toBe(4500);
      expect(socket.frames.filter(({ type }) => type === "error")).toHaveLength(10);
    });

    test("a frame of the largest size is taken, one byte more closes 1009", async () => {
      const user = await register(gateway(), "verbose");
      const socket = await connect(gateway(), user);
      const ping = (bytes: number): string => {
        const empty = JSON.stringify({ type: "ping", message_id: "m", data: { pad: "" } });
        return empty.replace('""', `"${"x".repeat(bytes - empty.length)}"`);
      };
      socket.sendText(ping(65_536));
      await socket.next("pong");
      socket.sendText(ping(65_537));
      expect((await socket.closed).code).toBe(1009);
    });

    test("a binary frame closes 1003", async () => {
      const user = await register(gateway(), "binary");
      const socket = await connect(gateway(), user);
      socket.sendBinary(new Uint8Array([1, 2, 3]));
      expect((await socket.closed).code).toBe(1003);
    });

    test("an upgrade elsewhere is 404", async () => {
      expect((await refusedUpgrade(`${gateway().ws}x`)).status).toBe(404);
    });
  });
}
