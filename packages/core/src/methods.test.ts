// Our own options on the methods of the contract: who may call, where the call goes, what the token fills.
import { create, createFileRegistry, type DescService, type MessageInitShape, setExtension } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  LogoutRequestSchema,
  MessageType,
  options,
  SendMessageRequestSchema,
  UserService,
} from "@im-gateway/proto";
import { describe, expect, test } from "vitest";
import { namedFields } from "./json/names.ts";
import { readMessage } from "./json/read.ts";
import type { JsonTree } from "./json/text.ts";
import { createMethods, type Method, prepareRequest } from "./methods.ts";
import { defaultServices } from "./options.ts";

const alice = { userId: "alice", deviceId: "phone", sessionId: "s1", expiresAtMs: 0 };
const methods = createMethods(defaultServices, "clients");

function method(name: string): Method {
  return methods.get(`im.logic.v1.${name}`) ?? expect.unreachable(`no ${name}`);
}

function refusedFields(run: () => void): string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof ConnectError) {
      const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
      return violations.map(({ field, description }) => `${field} ${description}`);
    }
    throw error;
  }
  return [];
}

test("every method of the contract is there by its full name", () => {
  const names = defaultServices.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`));
  expect([...methods.keys()]).toEqual(names);
});

test("who may call, and where it goes", () => {
  const publicNames = [...methods.values()].filter(({ auth }) => auth === "public").map(({ desc }) => desc.name);
  expect(publicNames).toEqual(["Register", "Login", "Refresh", "Guest", "Logout"]);
  const upstream = [...methods.values()].filter(({ target }) => target === "upstream").map(({ name }) => name);
  expect(upstream).toEqual(["im.logic.v1.MessageService/SendMessage"]);
});

test("every request field that names the caller is filled from the token", () => {
  for (const { name, desc, identityFields } of methods.values()) {
    const own = desc.input.fields.filter((field) => ["caller_id", "sender_id", "session_id"].includes(field.name));
    const filled = identityFields.map(({ field }) => field.name);
    expect(filled, name).toEqual(expect.arrayContaining(own.map((field) => field.name)));
  }
});

describe("a request is completed", () => {
  const message = { conversationId: "c", messageType: MessageType.TEXT, content: "x", clientMsgId: "m" };

  test("user, device and session come from the token", () => {
    const send = create(SendMessageRequestSchema, message);
    const written = new Set(["conversation_id", "message_type", "content", "client_msg_id"]);
    prepareRequest(method("MessageService/SendMessage"), send, alice, written);
    expect(send).toMatchObject({ ...message, senderId: "alice", deviceId: "phone" });
    const logout = create(LogoutRequestSchema);
    prepareRequest(method("AuthService/Logout"), logout, alice, new Set());
    expect(logout).toMatchObject({ callerId: "alice", sessionId: "s1" });
  });

  test("of nobody they stay empty", () => {
    const logout = create(LogoutRequestSchema);
    prepareRequest(method("AuthService/Logout"), logout, undefined, new Set());
    expect(logout).toMatchObject({ callerId: "", sessionId: "" });
  });

  const sent = { conversation_id: "c", message_type: 1, content: "x", client_msg_id: "m" };

  test.each<[string, string, JsonTree, string[]]>([
    ["the caller", "UserService/GetMe", { caller_id: "bob" }, ["caller_id is filled from the token"]],
    ["the caller's own id", "UserService/GetMe", { callerId: "alice" }, ["caller_id is filled from the token"]],
    ["an empty caller", "UserService/GetMe", { caller_id: "" }, ["caller_id is filled from the token"]],
    [
      "sender and device",
      "MessageService/SendMessage",
      { ...sent, sender_id: "bob", device_id: "d" },
      ["sender_id is filled from the token", "device_id is filled from the token"],
    ],
    [
      "nothing of what is required",
      "ConversationService/MarkRead",
      {},
      ["conversation_id is required", "seq_id is required"],
    ],
    [
      "the caller, and not what is required",
      "ConversationService/MarkRead",
      { caller_id: "bob", seq_id: 1 },
      ["caller_id is filled from the token", "conversation_id is required"],
    ],
    [
      "a short password",
      "AuthService/Register",
      { username: "u", password: "12345" },
      ["password must have 6 to 128 characters"],
    ],
    [
      "a page that is too large",
      "ConversationService/ListConversations",
      { page_size: 101 },
      ["page_size must be 0 to 100"],
    ],
    [
      "a bad cursor among good ones",
      "ConversationService/Sync",
      { cursors: { a: 1, b: -1 } },
      ["cursors.b must be at least 0"],
    ],
    [
      "a direction that is none",
      "FriendService/ListFriendRequests",
      { direction: "up" },
      ["direction must be one of received, sent"],
    ],
    [
      "more than may be asked",
      "UserService/ListPresences",
      { user_ids: Array.from({ length: 101 }, String) },
      ["user_ids must have at most 100 items"],
    ],
    [
      "a role that is for nobody",
      "GroupService/UpdateMemberRole",
      { group_id: "g", user_id: "u", role: 3 },
      ["role must be one of 1, 2"],
    ],
  ])("one that sends %s is refused", (_name, name, json, expected) => {
    const { input } = method(name).desc;
    for (const identity of [alice, undefined]) {
      const request = readMessage(input, json, "refuse");
      const run = (): void => prepareRequest(method(name), request, identity, namedFields(input, json));
      expect(refusedFields(run)).toEqual(expected);
    }
  });
});

/** A service whose one method has these options and takes a message of this name. */
function serviceOf(init: MessageInitShape<typeof options.MethodSchema> | undefined): DescService {
  const methodOptions = create(MethodOptionsSchema);
  if (init !== undefined) {
    setExtension(methodOptions, options.method, create(options.MethodSchema, init));
  }
  const registry = createFileRegistry(
    create(FileDescriptorProtoSchema, {
      name: "test.proto",
      package: "test",
      syntax: "proto3",
      dependency: [options.method.file.proto.name],
      messageType: [{ name: "Thing" }],
      service: [
        {
          name: "Things",
          method: [{ name: "Do", inputType: ".test.Thing", outputType: ".test.Thing", options: methodOptions }],
        },
      ],
    }),
    (name) => (name === options.method.file.proto.name ? options.method.file : undefined),
  );
  return registry.getService("test.Things") ?? expect.unreachable("no service");
}

describe("a contract that can not be served does not start", () => {
  const { LOGIC, UPSTREAM, UNSPECIFIED } = options.Target;
  const { PUBLIC, USER } = options.Auth;

  test.each([
    ["no options", undefined],
    ["no auth", { target: LOGIC }],
    ["auth unspecified", { auth: options.Auth.UNSPECIFIED }],
    ["an auth that is for the other door", { auth: options.Auth.SERVICE, target: options.Target.GATEWAY }],
    ["a target that is for the other door", { auth: USER, target: options.Target.GATEWAY }],
    ["an auth of a newer contract", { auth: 99 as options.Auth }],
    ["upstream with a request that is no message", { auth: USER, target: UPSTREAM }],
  ])("%s", (_name, init) => {
    expect(() => createMethods([UserService, serviceOf(init)], "clients")).toThrow(/test\.proto: test\.Things\/Do/);
  });

  test("the internal port takes nothing that is for clients", () => {
    expect(() => createMethods([serviceOf({ auth: USER, target: LOGIC })], "back-ends")).toThrow("test.Things/Do");
    const forBackEnds = serviceOf({ auth: options.Auth.SERVICE, target: options.Target.GATEWAY });
    expect([...createMethods([forBackEnds], "back-ends").keys()]).toEqual(["test.Things/Do"]);
  });

  test.each([
    ["public", { auth: PUBLIC }, "public"],
    ["for users", { auth: USER, target: LOGIC }, "user"],
    ["for users, target unspecified", { auth: USER, target: UNSPECIFIED }, "user"],
  ])("%s starts", (_name, init, auth) => {
    expect(createMethods([serviceOf(init)], "clients").get("test.Things/Do")).toMatchObject({ auth, target: "logic" });
  });
});
