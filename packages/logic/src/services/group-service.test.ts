import { Code } from "@connectrpc/connect";
import { ConversationType, Role } from "@im-gateway/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failureOf, startLogic, type TestLogic } from "../../test/start-logic.ts";

const conversationNotFound = { code: Code.NotFound, reason: "CONVERSATION_NOT_FOUND", fields: [] };
const notAllowed = { code: Code.PermissionDenied, reason: "NOT_ALLOWED", fields: [] };

let im: TestLogic;
/** Owner, admin, and two members of `groupId`; the stranger is in no group. */
let owner: string;
let admin: string;
let member: string;
let other: string;
let stranger: string;
let groupId: string;

beforeEach(async () => {
  im = await startLogic();
  [owner, admin, member] = [await im.person("Owner"), await im.person("Admin"), await im.person("Member")];
  [other, stranger] = [await im.person("Other"), await im.person("Stranger")];
  groupId = await im.groupOf(owner, admin, member, other);
  await im.group.updateMemberRole({ callerId: owner, groupId, userId: admin, role: Role.ADMIN });
});
afterEach(() => im.stop());

async function roles(callerId: string): Promise<Record<string, Role>> {
  const { members } = await im.group.listMembers({ callerId, groupId });
  return Object.fromEntries(members.map(({ userId, role }) => [userId, role]));
}

it("is a conversation of type 2 with the same id", async () => {
  const group = await im.group.getGroup({ callerId: member, groupId });
  expect(group).toMatchObject({
    groupId,
    conversationId: groupId,
    type: ConversationType.GROUP,
    name: "a group",
    ownerId: owner,
    memberCount: 4,
  });
  expect(await im.conversation.getConversation({ callerId: member, conversationId: groupId })).toMatchObject({
    name: "a group",
    ownerId: owner,
  });
});

describe("creating", () => {
  it("needs a name, and members that exist", async () => {
    expect(await failureOf(im.group.createGroup({ callerId: owner, name: "" }))).toMatchObject({ fields: ["name"] });
    expect(await failureOf(im.group.createGroup({ callerId: owner, name: "x", memberIds: ["nobody"] }))).toEqual({
      code: Code.NotFound,
      reason: "USER_NOT_FOUND",
      fields: ["member_ids[0]"],
    });
  });

  it("may start with the caller alone", async () => {
    const group = await im.group.createGroup({ callerId: owner, name: "x", memberIds: [owner] });
    expect(group).toMatchObject({ memberCount: 1, ownerId: owner });
  });

  it("holds 1,000 members with the owner", async () => {
    const guests = await Promise.all(Array.from({ length: 1000 }, () => im.person("Guest")));
    const tooMany = im.group.createGroup({ callerId: owner, name: "x", memberIds: guests });
    expect(await failureOf(tooMany)).toMatchObject({ code: Code.InvalidArgument, fields: ["member_ids"] });
    const group = await im.group.createGroup({ callerId: owner, name: "x", memberIds: guests.slice(1) });
    expect(group).toMatchObject({ memberCount: 1000 });
    const oneMore = im.group.createMembers({ callerId: owner, groupId: group.groupId, userIds: guests });
    const full = { code: Code.FailedPrecondition, reason: "GROUP_FULL", fields: [] };
    expect(await failureOf(oneMore)).toEqual(full);
    const join = { callerId: stranger, groupId: group.groupId };
    expect(await failureOf(im.group.joinGroup(join))).toEqual(full);
    await im.group.joinGroup({ ...join, callerId: guests[1] ?? "" });
    await im.group.deleteMember({ callerId: owner, groupId: group.groupId, userId: guests[1] ?? "" });
    await im.group.joinGroup(join);
  });
});

describe("who may do what", () => {
  type Call = (callerId: string) => Promise<unknown>;
  const calls: Record<string, Call> = {
    get: (callerId) => im.group.getGroup({ callerId, groupId }),
    list: (callerId) => im.group.listMembers({ callerId, groupId }),
    "rename the group": (callerId) => im.group.updateGroup({ callerId, groupId, name: "renamed" }),
    "rename the conversation": (callerId) =>
      im.conversation.updateConversation({ callerId, conversationId: groupId, name: "renamed" }),
    add: (callerId) => im.group.createMembers({ callerId, groupId, userIds: [stranger] }),
    "remove a member": (callerId) => im.group.deleteMember({ callerId, groupId, userId: other }),
    "remove an admin": (callerId) => im.group.deleteMember({ callerId, groupId, userId: admin }),
    "remove the owner": (callerId) => im.group.deleteMember({ callerId, groupId, userId: owner }),
    promote: (callerId) => im.group.updateMemberRole({ callerId, groupId, userId: other, role: Role.ADMIN }),
    "change the owner's role": (callerId) =>
      im.group.updateMemberRole({ callerId, groupId, userId: owner, role: Role.MEMBER }),
    leave: (callerId) => im.group.deleteMember({ callerId, groupId, userId: "me" }),
    dissolve: (callerId) => im.group.deleteGroup({ callerId, groupId }),
    join: (callerId) => im.group.joinGroup({ callerId, groupId }),
    transfer: (callerId) => im.group.transferGroup({ callerId, groupId, userId: other }),
  };
  const allowed: Record<string, readonly string[]> = {
    get: ["owner", "admin", "member"],
    list: ["owner", "admin", "member"],
    "rename the group": ["owner", "admin"],
    "rename the conversation": ["owner", "admin"],
    add: ["owner", "admin"],
    "remove a member": ["owner", "admin"],
    "remove an admin": ["owner", "admin"],
    "remove the owner": ["owner"],
    promote: ["owner"],
    "change the owner's role": [],
    leave: ["owner", "admin", "member"],
    dissolve: ["owner"],
    join: ["owner", "admin", "member", "stranger"],
    transfer: ["owner"],
  };

  it.each(Object.keys(calls).flatMap((action) => ["owner", "admin", "member", "stranger"].map((who) => [who, action])))(
    "%s: %s",
    async (who, action) => {
      const callerId = { owner, admin, member, stranger }[who ?? ""] ?? "";
      const call = calls[action ?? ""]?.(callerId) ?? Promise.resolve();
      if (allowed[action ?? ""]?.includes(who ?? "")) {
        await call;
      } else {
        expect(await failureOf(call)).toEqual(who === "stranger" ? conversationNotFound : notAllowed);
      }
    },
  );
});

describe("members", () => {
  it("are added once, and stay as they are", async () => {
    await im.group.createMembers({ callerId: owner, groupId, userIds: [admin, stranger, stranger] });
    expect(await roles(stranger)).toEqual({
      [owner]: Role.OWNER,
      [admin]: Role.ADMIN,
      [member]: Role.MEMBER,
      [other]: Role.MEMBER,
      [stranger]: Role.MEMBER,
    });
    const nobody = im.group.createMembers({ callerId: owner, groupId, userIds: [member, "nobody"] });
    expect(await failureOf(nobody)).toEqual({ code: Code.NotFound, reason: "USER_NOT_FOUND", fields: ["user_ids[1]"] });
    expect(await failureOf(im.group.createMembers({ callerId: owner, groupId }))).toMatchObject({
      fields: ["user_ids"],
    });
  });

  it("that are not there cannot be changed", async () => {
    const notThere = { code: Code.NotFound, reason: "USER_NOT_FOUND", fields: ["user_id"] };
    const remove = im.group.deleteMember({ callerId: owner, groupId, userId: stranger });
    expect(await failureOf(remove)).toEqual(notThere);
    const promote = im.group.updateMemberRole({ callerId: owner, groupId, userId: stranger, role: Role.ADMIN });
    expect(await failureOf(promote)).toEqual(notThere);
  });

  it.each([Role.UNSPECIFIED, Role.OWNER])("cannot be given the role %i", async (role) => {
    const call = im.group.updateMemberRole({ callerId: owner, groupId, userId: member, role });
    expect(await failureOf(call)).toMatchObject({ code: Code.InvalidArgument, fields: ["role"] });
  });

  it("who join have nothing unread", async () => {
    await im.sendUpstream({ userId: owner, conversationId: groupId, content: "x", clientMsgId: "c", messageType: 1 });
    await im.settled();
    await im.group.createMembers({ callerId: owner, groupId, userIds: [stranger] });
    const group = await im.group.getGroup({ callerId: stranger, groupId });
    expect(group).toMatchObject({ lastSeqId: 1n, readSeqId: 1n, unreadCount: 0n, lastMessage: { content: "x" } });
  });
});

describe("joining", () => {
  it("makes a member of whoever knows the id, and leaves members as they are", async () => {
    await im.group.joinGroup({ callerId: stranger, groupId });
    await im.group.joinGroup({ callerId: admin, groupId });
    expect(await roles(stranger)).toMatchObject({ [owner]: Role.OWNER, [admin]: Role.ADMIN, [stranger]: Role.MEMBER });
  });

  it("is not for what is no group any more, and never was one", async () => {
    await im.group.deleteGroup({ callerId: owner, groupId });
    for (const gone of [groupId, "nothing", ""]) {
      expect(await failureOf(im.group.joinGroup({ callerId: stranger, groupId: gone }))).toEqual(conversationNotFound);
    }
    const request = { callerId: owner, type: ConversationType.DIRECT, memberIds: [member] };
    const { conversationId } = await im.conversation.createConversation(request);
    const join = im.group.joinGroup({ callerId: stranger, groupId: conversationId });
    expect(await failureOf(join)).toMatchObject({ code: Code.FailedPrecondition, reason: "NOT_A_GROUP" });
  });
});

describe("transferring", () => {
  it("makes a member the owner, and the owner an admin", async () => {
    await im.group.transferGroup({ callerId: owner, groupId, userId: member });
    expect(await roles(owner)).toEqual({
      [owner]: Role.ADMIN,
      [admin]: Role.ADMIN,
      [member]: Role.OWNER,
      [other]: Role.MEMBER,
    });
    expect(await im.group.getGroup({ callerId: other, groupId })).toMatchObject({ ownerId: member });
  });

  it("is to another member only", async () => {
    const to = (userId: string): Promise<unknown> => im.group.transferGroup({ callerId: owner, groupId, userId });
    for (const userId of ["", owner]) {
      expect(await failureOf(to(userId))).toMatchObject({ code: Code.InvalidArgument, fields: ["user_id"] });
    }
    for (const userId of [stranger, "nobody"]) {
      expect(await failureOf(to(userId))).toMatchObject({ code: Code.NotFound, reason: "USER_NOT_FOUND" });
    }
  });
});

describe("an owner that leaves", () => {
  const leave = (callerId: string): Promise<unknown> => im.group.deleteMember({ callerId, groupId, userId: "me" });

  it("is followed by the oldest admin, then by the oldest member, and the last one ends the group", async () => {
    await leave(owner);
    expect(await roles(member)).toEqual({ [admin]: Role.OWNER, [member]: Role.MEMBER, [other]: Role.MEMBER });
    expect(await failureOf(im.group.getGroup({ callerId: owner, groupId }))).toEqual(conversationNotFound);
    await leave(admin);
    expect(await roles(member)).toEqual({ [member]: Role.OWNER, [other]: Role.MEMBER });
    await leave(member);
    await leave(other);
    for (const callerId of [owner, admin, member, other]) {
      expect(await failureOf(im.group.getGroup({ callerId, groupId }))).toEqual(conversationNotFound);
    }
  });
});

it("is gone for everybody when it is dissolved", async () => {
  await im.group.deleteGroup({ callerId: owner, groupId });
  for (const callerId of [owner, admin, member]) {
    expect(await failureOf(im.group.getGroup({ callerId, groupId }))).toEqual(conversationNotFound);
    expect((await im.conversation.listConversations({ callerId })).conversations).toEqual([]);
  }
});

it("is not what a direct conversation is", async () => {
  const request = { callerId: owner, type: ConversationType.DIRECT, memberIds: [member] };
  const { conversationId } = await im.conversation.createConversation(request);
  expect(await failureOf(im.group.getGroup({ callerId: owner, groupId: conversationId }))).toEqual({
    code: Code.FailedPrecondition,
    reason: "NOT_A_GROUP",
    fields: [],
  });
});

it("tells those concerned of each change", async () => {
  await im.sendUserEvents(
    { event: "connected", userId: owner, gatewayId: "g1", connectionId: "o", seq: 1n },
    { event: "connected", userId: member, gatewayId: "g1", connectionId: "m", seq: 2n },
    { event: "connected", userId: stranger, gatewayId: "g2", connectionId: "s", seq: 1n },
  );
  await im.settled();
  const told = async (call: Promise<unknown>): Promise<unknown[]> => {
    const before = im.received.length;
    await call;
    await im.settled();
    return im.received.slice(before).map(({ gatewayId, record: { type, data, targetUserIds } }) => {
      expect({ type, conversationId: data?.conversation_id }).toEqual({
        type: "conversation-updated",
        conversationId: groupId,
      });
      return [gatewayId, data?.change, [...targetUserIds].sort()];
    });
  };
  const both = [owner, member].sort();
  const callerId = owner;
  expect(await told(im.group.updateGroup({ callerId, groupId, name: "renamed" }))).toEqual([["g1", "updated", both]]);
  expect(await told(im.group.createMembers({ callerId, groupId, userIds: [stranger] }))).toEqual(
    expect.arrayContaining([
      ["g2", "created", [stranger]],
      ["g1", "members", both],
      ["g2", "members", [stranger]],
    ]),
  );
  expect(await told(im.group.createMembers({ callerId, groupId, userIds: [stranger] }))).toEqual([]);
  const role = Role.ADMIN;
  expect(await told(im.group.updateMemberRole({ callerId, groupId, userId: member, role }))).toEqual(
    expect.arrayContaining([["g1", "members", both]]),
  );
  expect(await told(im.group.deleteMember({ callerId, groupId, userId: stranger }))).toEqual(
    expect.arrayContaining([
      ["g2", "deleted", [stranger]],
      ["g1", "members", both],
    ]),
  );
  expect(await told(im.group.joinGroup({ callerId: stranger, groupId }))).toEqual(
    expect.arrayContaining([
      ["g2", "created", [stranger]],
      ["g1", "members", both],
      ["g2", "members", [stranger]],
    ]),
  );
  expect(await told(im.group.joinGroup({ callerId: stranger, groupId }))).toEqual([]);
  await im.group.deleteMember({ callerId: stranger, groupId, userId: "me" });
  await im.settled();
  expect(await told(im.group.transferGroup({ callerId, groupId, userId: member }))).toEqual([["g1", "members", both]]);
  const dissolved = im.group.deleteGroup({ callerId: member, groupId });
  expect(await told(dissolved)).toEqual([["g1", "deleted", both]]);
});
