// What was said: caught up with, searched, and taken back.
import { describe, expect, test } from "vitest";
import { asRecords, connect, direct, register, rest, type User, untilOnline } from "../client.ts";
import type { World } from "../world.ts";

export function historyScenarios(world: () => World): void {
  const first = (): World["gateways"][0] => world().gateways[0];
  const second = (): World["gateways"][1] => world().gateways[1];

  /** Two who have said "needle 1" to "needle 5", and a third who has nothing to do with it. */
  async function talk(): Promise<{ alice: User; bob: User; eve: User; conversationId: string }> {
    const [alice, bob, eve] = [
      await register(first(), "alice"),
      await register(second(), "bob"),
      await register(first(), "eve"),
    ];
    const conversationId = await direct(first(), alice, bob);
    const a = await connect(first(), alice);
    for (let number = 1; number <= 5; number += 1) {
      await a.say(conversationId, `needle ${number}`);
    }
    await a.next("message-stored", ({ data }) => data.seq_id === 5);
    await a.close();
    return { alice, bob, eve, conversationId };
  }

  describe("history", () => {
    test("sync, until nothing is left", async () => {
      const { bob, conversationId } = await talk();
      const cursors: Record<string, number> = {};
      const seqIds: unknown[] = [];
      let complete: unknown = false;
      for (let calls = 1; complete !== true; calls += 1) {
        const body = { cursors, page_size: 2 };
        const answer = await rest(second(), "POST", "/sync", { token: bob.accessToken, body });
        expect(answer.status).toBe(200);
        const messages = asRecords(answer.body.messages);
        seqIds.push(...messages.map(({ seq_id }) => seq_id));
        cursors[conversationId] = Number(seqIds.at(-1));
        const conversations = asRecords(answer.body.conversations);
        expect(conversations).toMatchObject([{ conversation_id: conversationId, last_seq_id: 5, unread_count: 5 }]);
        complete = answer.body.complete;
        expect([calls, complete]).toEqual([calls, calls === 3]);
      }
      expect(seqIds).toEqual([1, 2, 3, 4, 5]);
      const nothing = await rest(second(), "POST", "/sync", { token: bob.accessToken, body: { cursors } });
      expect(nothing.body).toEqual({ messages: [], conversations: [], complete: true });
    });

    test("search, in pages, in one's own conversations", async () => {
      const { bob, eve, conversationId } = await talk();
      const contents: unknown[] = [];
      let pageToken = "";
      do {
        const path = `/search?query=NEEDLE&page_size=3&page_token=${pageToken}`;
        const { body } = await rest(second(), "GET", path, { token: bob.accessToken });
        contents.push(...asRecords(body.messages).map(({ content }) => content));
        pageToken = String(body.next_page_token);
      } while (pageToken !== "");
      expect(contents).toEqual([5, 4, 3, 2, 1].map((number) => `needle ${number}`));
      const foreign = await rest(first(), "GET", "/search?query=needle", { token: eve.accessToken });
      expect(foreign.body).toEqual({ messages: [], next_page_token: "" });
      const path = `/search?query=needle&conversation_id=${conversationId}`;
      expect((await rest(first(), "GET", path, { token: eve.accessToken })).status).toBe(404);
    });

    test("recall: the other side is told, and nobody reads it any more", async () => {
      const { alice, bob, eve, conversationId } = await talk();
      const b = await connect(second(), bob);
      await untilOnline(second(), bob);
      const path = `/conversations/${conversationId}/messages`;
      const history = await rest(second(), "GET", path, { token: bob.accessToken });
      const messageId = String(asRecords(history.body.messages)[2]?.message_id);
      const recall = async (user: User): Promise<number> =>
        (await rest(first(), "DELETE", `${path}/${messageId}`, { token: user.accessToken })).status;
      expect([await recall(eve), await recall(bob)]).toEqual([404, 403]);
      expect([await recall(alice), await recall(alice)]).toEqual([200, 200]);
      expect((await b.next("message-recalled")).data).toEqual({
        conversation_id: conversationId,
        message_id: messageId,
        seq_id: 3,
      });
      const after = await rest(second(), "GET", path, { token: bob.accessToken });
      expect(
        asRecords(after.body.messages).map(({ seq_id, message_type, content }) => [seq_id, message_type, content]),
      ).toEqual([1, 2, 3, 4, 5].map((seqId) => (seqId === 3 ? [3, 4, ""] : [seqId, 1, `needle ${seqId}`])));
      const found = await rest(second(), "GET", "/search?query=needle", { token: bob.accessToken });
      expect(asRecords(found.body.messages).map(({ seq_id }) => seq_id)).toEqual([5, 4, 2, 1]);
      await b.close();
    });
  });
}
