// Messages: sent, acked, stored, received wherever the recipients are, read back, marked as read.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { asRecord, asRecords, connect, direct, login, register, rest } from "../client.ts";
import type { World } from "../world.ts";

export function messageScenarios(world: () => World): void {
  const first = (): World["gateways"][0] => world().gateways[0];
  const second = (): World["gateways"][1] => world().gateways[1];

  describe("messages", () => {
    test("send, ack, stored, and received on the other gateway", async () => {
      const [alice, bob] = [await register(first(), "alice"), await register(second(), "bob")];
      const conversationId = await direct(first(), alice, bob);
      const [a, b] = [await connect(first(), alice), await connect(second(), bob)];
      const clientMsgId = randomUUID();
      const messageId = a.send("send-message", {
        conversation_id: conversationId,
        message_type: 1,
        content: "Hello World!",
        client_msg_id: clientMsgId,
      });
      const ack = await a.next("message-ack");
      expect(ack).toMatchObject({
        message_id: messageId,
        data: { client_msg_id: clientMsgId, status: "accepted", trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) },
      });
      const received = await b.next("new-message");
      expect(received.message_id).toBe("");
      expect(received.data).toEqual({
        message_id: expect.stringMatching(/./),
        conversation_id: conversationId,
        sender_id: alice.userId,
        message_type: 1,
        content: "Hello World!",
        seq_id: 1,
        timestamp: expect.any(Number),
        client_msg_id: clientMsgId,
      });
      expect(Math.abs(Number(received.data.timestamp) - Date.now())).toBeLessThan(60_000);
      expect((await a.next("message-stored")).data).toEqual({
        client_msg_id: clientMsgId,
        message_id: received.data.message_id,
        conversation_id: conversationId,
        seq_id: 1,
        timestamp: received.data.timestamp,
      });
      expect(a.frames.filter(({ type }) => type === "new-message")).toEqual([]);
      await Promise.all([a.close(), b.close()]);
    });

    test("two devices of the recipient and the sender's other device get it, each once", async () => {
      const [alice, bob] = [await register(first(), "alice"), await register(first(), "bob")];
      const conversationId = await direct(first(), alice, bob);
      const a1 = await connect(first(), alice);
      const a2 = await connect(second(), await login(second(), alice.username));
      const b1 = await connect(first(), bob);
      const b2 = await connect(second(), await login(second(), bob.username));
      expect(b1.connected.device_id).not.toBe(b2.connected.device_id);
      await a1.say(conversationId, "one");
      await a1.say(conversationId, "two");
      for (const device of [a2, b1, b2]) {
        await device.next("new-message", ({ data }) => data.content === "two");
        const seqIds = device.frames.filter(({ type }) => type === "new-message").map(({ data }) => data.seq_id);
        expect([...new Set(seqIds)]).toEqual([1, 2]);
      }
      await a1.next("message-stored", ({ data }) => data.seq_id === 2);
      expect(a1.frames.filter(({ type }) => type === "new-message")).toEqual([]);
      await Promise.all([a1, a2, b1, b2].map((socket) => socket.close()));
    });

    test("a group of three, in order", async () => {
      const [owner, b, c] = [
        await register(first(), "owner"),
        await register(first(), "member"),
        await register(second(), "member"),
      ];
      const group = await rest(first(), "POST", "/groups", {
        token: owner.accessToken,
        body: { name: "three", member_ids: [b.userId, c.userId] },
      });
      expect(group).toMatchObject({
        status: 201,
        body: { type: 2, name: "three", member_count: 3, owner_id: owner.userId },
      });
      const conversationId = String(group.body.group_id);
      expect(group.body.conversation_id).toBe(conversationId);
      const sockets = [await connect(first(), owner), await connect(first(), b), await connect(second(), c)] as const;
      for (let n = 1; n <= 10; n++) {
        sockets[0].send("send-message", {
          conversation_id: conversationId,
          message_type: 1,
          content: String(n),
          client_msg_id: randomUUID(),
        });
      }
      for (const socket of sockets.slice(1)) {
        await socket.next("new-message", ({ data }) => data.content === "10");
        const messages = socket.frames.filter(({ type }) => type === "new-message");
        expect(messages.map(({ data }) => data.content)).toEqual(Array.from({ length: 10 }, (_, i) => String(i + 1)));
        expect(messages.map(({ data }) => data.seq_id)).toEqual(Array.from({ length: 10 }, (_, i) => i + 1));
      }
      const members = await rest(first(), "GET", `/groups/${conversationId}/members`, { token: b.accessToken });
      expect(asRecords(members.body.members).map(({ user_id, role }) => [user_id, role])).toEqual([
        [owner.userId, 3],
        [b.userId, 1],
        [c.userId, 1],
      ]);
      await Promise.all(sockets.map((socket) => socket.close()));
    });

    test("the same client_msg_id is stored once, by whatever door it comes again, and names no other message", async () => {
      const [alice, bob] = [await register(first(), "alice"), await register(first(), "bob")];
      const conversationId = await direct(first(), alice, bob);
      const a = await connect(first(), alice);
      const message = {
        conversation_id: conversationId,
        message_type: 1,
        content: "once",
        client_msg_id: randomUUID(),
      };
      const statuses: unknown[] = [];
      for (const id of [a.send("send-message", message), a.send("send-message", message)]) {
        statuses.push((await a.next("message-ack", ({ message_id }) => message_id === id)).data.status);
      }
      const again = await rest(first(), "POST", "/messages", { token: alice.accessToken, body: message });
      // The window is a gateway's own; behind it im-logic stores once.
      const elsewhere = await rest(second(), "POST", "/messages", { token: alice.accessToken, body: message });
      statuses.push(again.status, again.body.status, elsewhere.status, elsewhere.body.status);
      const there = second().http === first().http ? "duplicate" : "accepted";
      expect(statuses).toEqual(["accepted", "duplicate", 202, "duplicate", 202, there]);
      const other = { ...message, content: "another" };
      const reused = await rest(first(), "POST", "/messages", { token: alice.accessToken, body: other });
      expect([reused.status, reused.body.code]).toEqual([409, "already_exists"]);
      const id = a.send("send-message", other);
      expect((await a.next("error", ({ message_id }) => message_id === id)).data).toMatchObject({
        code: "already_exists",
        reason: "CLIENT_MSG_ID_REUSED",
        client_msg_id: message.client_msg_id,
      });
      const long = { ...message, client_msg_id: "x".repeat(129) };
      const longId = a.send("send-message", long);
      const tooLong = { code: "invalid_argument", client_msg_id: long.client_msg_id };
      expect((await a.next("error", ({ message_id }) => message_id === longId)).data).toMatchObject(tooLong);
      expect((await rest(first(), "POST", "/messages", { token: alice.accessToken, body: long })).status).toBe(400);
      await a.say(conversationId, "after");
      await a.next("message-stored", ({ data }) => data.seq_id === 2);
      const history = await rest(first(), "GET", `/conversations/${conversationId}/messages`, {
        token: bob.accessToken,
      });
      expect(asRecords(history.body.messages).map(({ content }) => content)).toEqual(["once", "after"]);
      await a.close();
    });

    test("history, pages, unread and mark-read over REST and over the socket", async () => {
      const [alice, bob] = [await register(first(), "alice"), await register(second(), "bob")];
      const conversationId = await direct(first(), alice, bob);
      const [a, b] = [await connect(first(), alice), await connect(second(), bob)];
      for (const content of ["one", "two", "three"]) {
        await a.say(conversationId, content);
      }
      await b.next("new-message", ({ data }) => data.seq_id === 3);
      const path = `/conversations/${conversationId}`;
      const token = bob.accessToken;
      const page = await rest(second(), "GET", `${path}/messages?page_size=2`, { token });
      expect(page.body).toMatchObject({ has_more: true });
      expect(asRecords(page.body.messages).map(({ seq_id }) => seq_id)).toEqual([2, 3]);
      const older = await rest(second(), "GET", `${path}/messages?before_seq_id=2`, { token });
      expect(asRecords(older.body.messages).map(({ content }) => content)).toEqual(["one"]);
      const newer = await rest(second(), "GET", `${path}/messages?after_seq_id=1&page_size=1`, { token });
      expect(newer.body).toMatchObject({ has_more: true, messages: [{ seq_id: 2 }] });

      expect((await rest(second(), "GET", `${path}/unread`, { token })).body).toEqual({ unread_count: 3 });
      expect((await rest(second(), "PUT", `${path}/read`, { token, body: { seq_id: 2 } })).body).toEqual({
        unread_count: 1,
      });
      const messageId = b.send("mark-read", { conversation_id: conversationId, seq_id: 3 });
      expect(await b.next("ack")).toMatchObject({ message_id: messageId, data: {} });
      expect((await a.next("message-read", ({ data }) => data.seq_id === 3)).data).toEqual({
        conversation_id: conversationId,
        user_id: bob.userId,
        seq_id: 3,
      });
      const list = await rest(second(), "GET", "/conversations", { token });
      expect(list.body).toMatchObject({ next_page_token: "" });
      const [conversation] = asRecords(list.body.conversations);
      expect(conversation).toMatchObject({ unread_count: 0, last_seq_id: 3, read_seq_id: 3, peer_id: alice.userId });
      expect(asRecord(conversation?.last_message)).toMatchObject({ content: "three", seq_id: 3 });
      await Promise.all([a.close(), b.close()]);
    });

    test("a message over REST goes the same way", async () => {
      const [alice, bob] = [await register(first(), "alice"), await register(second(), "bob")];
      const conversationId = await direct(first(), alice, bob);
      const [a, b] = [await connect(first(), alice), await connect(second(), bob)];
      const message = { message_type: 1, content: "by REST", client_msg_id: randomUUID() };
      const sent = await rest(first(), "POST", `/conversations/${conversationId}/messages`, {
        token: alice.accessToken,
        body: message,
      });
      expect(sent.status).toBe(202);
      expect(sent.body).toEqual({
        client_msg_id: message.client_msg_id,
        status: "accepted",
        trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      });
      // Nobody's connection sent it, so all of the sender's get it too.
      for (const socket of [a, b]) {
        expect((await socket.next("new-message")).data).toMatchObject({ content: "by REST", sender_id: alice.userId });
      }
      const again = await rest(first(), "POST", "/messages", {
        token: alice.accessToken,
        body: {
          ...message,
          client_msg_id: randomUUID(),
          conversation_id: conversationId,
          content: "by the other route",
        },
      });
      expect(again.status).toBe(202);
      await b.next("new-message", ({ data }) => data.content === "by the other route");
      await Promise.all([a.close(), b.close()]);
    });

    test("a conversation that is not one's own: an error to the sender, nothing to anybody else", async () => {
      const [alice, bob, eve] = [
        await register(first(), "alice"),
        await register(first(), "bob"),
        await register(second(), "eve"),
      ];
      const conversationId = await direct(first(), alice, bob);
      const [b, e] = [await connect(first(), bob), await connect(second(), eve)];
      for (const target of [conversationId, "no-such-conversation"]) {
        const clientMsgId = await e.say(target, "let me in");
        const refused = await e.next("error", ({ data }) => data.client_msg_id === clientMsgId);
        expect(refused.data).toMatchObject({ code: "not_found", trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) });
      }
      const history = await rest(second(), "GET", `/conversations/${conversationId}/messages`, {
        token: eve.accessToken,
      });
      expect(history.status).toBe(404);
      const a = await connect(second(), alice);
      await a.say(conversationId, "hello");
      expect((await b.next("new-message")).data.content).toBe("hello");
      await Promise.all([a.close(), b.close(), e.close()]);
    });

    test("any method over the socket: call and reply", async () => {
      const user = await register(first(), "caller");
      const socket = await connect(first(), user);
      const good = socket.send("call", { method: "im.logic.v1.UserService/GetMe", request: {} });
      const reply = await socket.next("reply", ({ message_id }) => message_id === good);
      expect(asRecord(reply.data.response)).toMatchObject({ user_id: user.userId, username: user.username });
      const bad = socket.send("call", {
        method: "im.logic.v1.GroupService/GetGroup",
        request: { group_id: "nothing" },
      });
      expect((await socket.next("error", ({ message_id }) => message_id === bad)).data).toMatchObject({
        code: "not_found",
      });
      await socket.close();
    });
  });
}
