// Groups: joined by who knows the id, handed on, gone.
import { describe, expect, test } from "vitest";
import { asRecords, connect, direct, register, rest, untilOnline } from "../client.ts";
import type { World } from "../world.ts";

export function groupScenarios(world: () => World): void {
  const first = (): World["gateways"][0] => world().gateways[0];
  const second = (): World["gateways"][1] => world().gateways[1];

  describe("groups", () => {
    test("join and transfer, and everybody is told", async () => {
      const [owner, joiner] = [await register(first(), "owner"), await register(second(), "joiner")];
      const created = await rest(first(), "POST", "/groups", { token: owner.accessToken, body: { name: "open" } });
      const groupId = String(created.body.group_id);
      const [o, j] = [await connect(first(), owner), await connect(second(), joiner)];
      await Promise.all([untilOnline(first(), owner), untilOnline(second(), joiner)]);
      const early = await rest(second(), "GET", `/groups/${groupId}`, { token: joiner.accessToken });
      expect(early.status).toBe(404);
      for (const _ of ["once", "again"]) {
        const joined = await rest(second(), "POST", `/groups/${groupId}:join`, { token: joiner.accessToken, body: {} });
        expect(joined).toMatchObject({ status: 200, body: {} });
      }
      const told = (change: string) => (frame: { readonly data: Readonly<Record<string, unknown>> }) =>
        frame.data.conversation_id === groupId && frame.data.change === change;
      await o.next("conversation-updated", told("members"));
      await j.next("conversation-updated", told("created"));
      await o.say(groupId, "welcome");
      await j.next("new-message", ({ data }) => data.content === "welcome");

      const transfer = { token: joiner.accessToken, body: { user_id: joiner.userId } };
      const notYet = await rest(second(), "POST", `/groups/${groupId}:transfer`, transfer);
      expect(notYet).toMatchObject({ status: 403, body: { code: "permission_denied" } });
      const handed = { ...transfer, token: owner.accessToken };
      expect(await rest(first(), "POST", `/groups/${groupId}:transfer`, handed)).toMatchObject({
        status: 200,
        body: {},
      });
      const members = await rest(first(), "GET", `/groups/${groupId}/members`, { token: owner.accessToken });
      expect(asRecords(members.body.members).map(({ user_id, role }) => [user_id, role])).toEqual([
        [owner.userId, 2],
        [joiner.userId, 3],
      ]);
      await Promise.all([o.close(), j.close()]);
    });

    test("what is no group, or none any more, is not joined", async () => {
      const [alice, bob, eve] = [
        await register(first(), "alice"),
        await register(first(), "bob"),
        await register(second(), "eve"),
      ];
      const conversationId = await direct(first(), alice, bob);
      const created = await rest(first(), "POST", "/groups", { token: alice.accessToken, body: { name: "gone" } });
      const groupId = String(created.body.group_id);
      await rest(first(), "DELETE", `/groups/${groupId}`, { token: alice.accessToken });
      const join = (id: string): Promise<unknown> =>
        rest(second(), "POST", `/groups/${id}:join`, { token: eve.accessToken, body: {} });
      expect(await join(groupId)).toMatchObject({ status: 404, body: { code: "not_found" } });
      expect(await join(conversationId)).toMatchObject({ status: 400, body: { code: "failed_precondition" } });
    });
  });
}
