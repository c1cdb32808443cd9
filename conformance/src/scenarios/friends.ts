// Friends: asked, accepted, rejected, blocked; found by name, and seen to be online.
import { waitFor } from "@im-gateway/tools/process";
import { describe, expect, test } from "vitest";
import { asRecord, asRecords, befriend, connect, direct, register, rest, type User } from "../client.ts";
import type { World } from "../world.ts";

export function friendScenarios(world: () => World): void {
  const first = (): World["gateways"][0] => world().gateways[0];
  const second = (): World["gateways"][1] => world().gateways[1];

  describe("friends", () => {
    test("a request, its acceptance, the list, the end", async () => {
      const [alice, bob] = [await register(first(), "alice"), await register(second(), "bob")];
      const asked = await rest(first(), "POST", "/friends/requests", {
        token: alice.accessToken,
        body: { user_id: bob.userId, message: "it is me" },
      });
      const request = {
        request_id: expect.stringMatching(/./),
        from_user_id: alice.userId,
        to_user_id: bob.userId,
        message: "it is me",
        status: 1,
        created_at: expect.any(Number),
      };
      expect(asked).toMatchObject({ status: 200, body: request });
      const received = await rest(second(), "GET", "/friends/requests", { token: bob.accessToken });
      expect(received.body).toEqual({ requests: [request], next_page_token: "" });
      const sent = await rest(second(), "GET", "/friends/requests?direction=sent", { token: bob.accessToken });
      expect(sent.body).toEqual({ requests: [], next_page_token: "" });

      const path = `/friends/requests/${String(asked.body.request_id)}`;
      const own = await rest(first(), "POST", `${path}:accept`, { token: alice.accessToken, body: {} });
      expect(own).toMatchObject({ status: 404, body: { code: "not_found" } });
      for (const _ of ["once", "again"]) {
        const accepted = await rest(second(), "POST", `${path}:accept`, { token: bob.accessToken, body: {} });
        expect(accepted).toMatchObject({ status: 200, body: { ...request, status: 2 } });
      }
      const rejected = await rest(second(), "POST", `${path}:reject`, { token: bob.accessToken, body: {} });
      expect(rejected).toMatchObject({ status: 400, body: { code: "failed_precondition" } });

      const friends = await rest(first(), "GET", "/friends", { token: alice.accessToken });
      const friend = { user_id: bob.userId, nickname: bob.username, avatar_url: "" };
      expect(friends.body).toEqual({
        friends: [{ ...friend, created_at: expect.any(Number), blocked: false }],
        next_page_token: "",
      });
      const ended = await rest(first(), "DELETE", `/friends/${bob.userId}`, { token: alice.accessToken });
      expect(ended).toMatchObject({ status: 200, body: {} });
      const none = await rest(second(), "GET", "/friends", { token: bob.accessToken });
      expect(none.body).toMatchObject({ friends: [] });
    });

    test("a blocked one's direct messages and requests are refused, and the one who blocks may write", async () => {
      const [alice, bob] = [await register(first(), "alice"), await register(second(), "bob")];
      const conversationId = await direct(first(), alice, bob);
      const [a, b] = [await connect(first(), alice), await connect(second(), bob)];
      const block = await rest(first(), "POST", `/friends/${bob.userId}:block`, { token: alice.accessToken, body: {} });
      expect(block).toMatchObject({ status: 200, body: {} });
      const clientMsgId = await b.say(conversationId, "let me in");
      const error = await b.next("error", ({ data }) => data.client_msg_id === clientMsgId);
      expect(error.data).toMatchObject({ code: "permission_denied", reason: "BLOCKED" });
      for (const [path, body] of [
        ["/friends/requests", { user_id: alice.userId }],
        ["/conversations", { type: 1, member_ids: [alice.userId] }],
      ] as const) {
        const refused = await rest(second(), "POST", path, { token: bob.accessToken, body });
        expect(refused).toMatchObject({ status: 403, body: { code: "permission_denied" } });
      }
      await a.say(conversationId, "one way");
      await b.next("new-message", ({ data }) => data.content === "one way");
      const unblock = `/friends/${bob.userId}:unblock`;
      expect((await rest(first(), "POST", unblock, { token: alice.accessToken, body: {} })).status).toBe(200);
      await b.say(conversationId, "both ways");
      await a.next("new-message", ({ data }) => data.content === "both ways");
      expect(a.frames.filter(({ data }) => data.content === "let me in")).toEqual([]);
      await Promise.all([a.close(), b.close()]);
    });

    test("a user is found by a part of the name", async () => {
      const [alice, bob] = [await register(first(), "alice"), await register(second(), "bob")];
      const query = encodeURIComponent(bob.username.slice(1).toUpperCase());
      const found = await rest(first(), "GET", `/users?query=${query}`, { token: alice.accessToken });
      expect(asRecords(found.body.users).map(({ user_id }) => user_id)).toEqual([bob.userId]);
      expect(found.body).toMatchObject({ next_page_token: "" });
    });

    test("a friend is online from connecting to leaving, a stranger never", async () => {
      const [alice, bob, eve] = [
        await register(first(), "alice"),
        await register(second(), "bob"),
        await register(first(), "eve"),
      ];
      await befriend(second(), alice, bob);
      const presence = async (user: User): Promise<Readonly<Record<string, unknown>>> => {
        const path = `/presence?user_ids=${bob.userId}&user_ids=${user.userId}`;
        const { body } = await rest(first(), "GET", path, { token: user.accessToken });
        const [theirs, own] = asRecords(body.presences);
        expect(own).toMatchObject({ user_id: user.userId });
        return asRecord(theirs);
      };
      const becomes = async (online: boolean): Promise<Readonly<Record<string, unknown>>> => {
        let seen = await presence(alice);
        const look = async (): Promise<boolean> => {
          seen = await presence(alice);
          return seen.online === online;
        };
        await waitFor(look, { timeoutMs: 10_000, what: () => `bob to be ${online ? "online" : "offline"}` });
        return seen;
      };
      expect(await presence(alice)).toEqual({ user_id: bob.userId, online: false, last_seen: 0 });
      const b = await connect(second(), bob);
      await becomes(true);
      expect(await presence(eve)).toEqual({ user_id: bob.userId, online: false, last_seen: 0 });
      await b.close();
      const { last_seen: lastSeen } = await becomes(false);
      expect(Math.abs(Number(lastSeen) - Date.now() / 1000)).toBeLessThan(60);
      expect(await presence(eve)).toMatchObject({ online: false, last_seen: 0 });
    });
  });
}
