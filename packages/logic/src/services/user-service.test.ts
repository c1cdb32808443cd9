import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, it } from "vitest";
import { failureOf, startLogic, type TestLogic } from "../../test/start-logic.ts";

let im: TestLogic;
let callerId: string;

beforeEach(async () => {
  im = await startLogic();
  callerId = await im.person("Ada");
});
afterEach(() => im.stop());

it("shows oneself and others", async () => {
  const userId = await im.person("Bob");
  expect(await im.user.getMe({ callerId })).toMatchObject({ userId: callerId, nickname: "Ada", avatarUrl: "" });
  expect(await im.user.getUser({ callerId, userId })).toMatchObject({ userId, nickname: "Bob", isGuest: true });
});

it("changes what is given and nothing else", async () => {
  await im.user.updateMe({ callerId, nickname: "Ada Lovelace" });
  await im.user.updateMe({ callerId, avatarUrl: "https://example.org/ada.png" });
  expect(await im.user.updateMe({ callerId })).toMatchObject({
    nickname: "Ada Lovelace",
    avatarUrl: "https://example.org/ada.png",
  });
  expect(await im.user.updateMe({ callerId, avatarUrl: "" })).toMatchObject({ avatarUrl: "" });
});

it.each([
  [{ nickname: "" }, "nickname"],
  [{ nickname: "a\nb" }, "nickname"],
  [{ avatarUrl: "javascript:alert(1)" }, "avatar_url"],
  [{ avatarUrl: "https://" }, "avatar_url"],
  [{ avatarUrl: `https://example.org/${"x".repeat(1024)}` }, "avatar_url"],
])("refuses %j", async (change, field) => {
  const call = im.user.updateMe({ callerId, ...change });
  expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: [field] });
});

it("does not know everybody", async () => {
  const notFound = { code: Code.NotFound, reason: "USER_NOT_FOUND", fields: [] };
  expect(await failureOf(im.user.getUser({ callerId, userId: "nobody" }))).toEqual(notFound);
  expect(await failureOf(im.user.getMe({ callerId: "nobody" }))).toEqual(notFound);
});

it("wants a caller, on every method that is not public", async () => {
  const calls = [
    im.user.getMe({}),
    im.user.updateMe({}),
    im.user.getUser({ userId: callerId }),
    im.conversation.createConversation({}),
    im.conversation.listConversations({}),
    im.conversation.getConversation({}),
    im.conversation.updateConversation({}),
    im.conversation.deleteConversation({}),
    im.conversation.markRead({}),
    im.conversation.getUnread({}),
    im.conversation.listMembers({}),
    im.message.listMessages({}),
    im.group.createGroup({}),
    im.group.getGroup({}),
    im.group.updateGroup({}),
    im.group.deleteGroup({}),
    im.group.listMembers({}),
    im.group.createMembers({}),
    im.group.deleteMember({}),
    im.group.deleteMember({ userId: "me" }),
    im.group.updateMemberRole({}),
  ];
  for (const call of calls) {
    expect(await failureOf(call)).toEqual({ code: Code.Unauthenticated, reason: "UNAUTHENTICATED", fields: [] });
  }
});
