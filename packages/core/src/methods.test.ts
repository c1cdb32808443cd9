// Our own options on the methods of the contract: who may call, where the call goes, what the token fills.
import {
  create,
  createFileRegistry,
  type DescService,
  type Message,
  type MessageInitShape,
  setExtension,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema, MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  GetMeRequestSchema,
  LogoutRequestSchema,
  MarkReadRequestSchema,
  MessageType,
  options,
  SendMessageRequestSchema,
  UserService,
} from "@im-gateway/proto";
import { describe, expect, test } from "vitest";
import { createMethods, type Method, prepareRequest } from "./methods.ts";
import { defaultServices } from "./options.ts";

const alice = { userId: "alice", deviceId: "phone", sessionId: "s1", expiresAtMs: 0 };
const methods = createMethods(defaultServices);

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
    prepareRequest(method("MessageService/SendMessage"), send, alice, new Set());
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

  test.each<[string, string, Message, string[], string?]>([
    [
      "the caller",
      "UserService/GetMe",
      create(GetMeRequestSchema, { callerId: "bob" }),
      ["caller_id is filled from the token"],
    ],
    [
      "the caller's own id",
      "UserService/GetMe",
      create(GetMeRequestSchema, { callerId: "alice" }),
      ["caller_id is filled from the token"],
    ],
    [
      "sender and device",
      "MessageService/SendMessage",
      create(SendMessageRequestSchema, { ...message, senderId: "bob", deviceId: "d" }),
      ["sender_id is filled from the token", "device_id is filled from the token"],
    ],
    [
      "nothing of what is required",
      "ConversationService/MarkRead",
      create(MarkReadRequestSchema),
      ["conversation_id is required", "seq_id is required"],
    ],
    [
      "both",
      "ConversationService/MarkRead",
      create(MarkReadRequestSchema, { callerId: "bob", seqId: 1n }),
      ["caller_id is filled from the token", "conversation_id is required"],
    ],
    [
      "the caller, but empty",
      "UserService/GetMe",
      create(GetMeRequestSchema),
      ["caller_id is filled from the token"],
      "caller_id",
    ],
  ])("one that sends %s is refused", (_name, name, request, expected, empty = "") => {
    const { desc } = method(name);
    const sent = desc.input.fields
      .filter((field) => reflect(desc.input, request).isSet(field))
      .map((field) => field.name);
    const named = new Set([...sent, empty]);
    expect(refusedFields(() => prepareRequest(method(name), request, alice, named))).toEqual(expected);
    expect(refusedFields(() => prepareRequest(method(name), request, undefined, named))).toEqual(expected);
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
      messageType: [{ name: "Thing" }],
      service: [
        {
          name: "Things",
          method: [{ name: "Do", inputType: ".test.Thing", outputType: ".test.Thing", options: methodOptions }],
        },
      ],
    }),
    () => undefined,
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
    ["an auth of a newer contract", { auth: 99 as options.Auth }],
    ["upstream with a request that is no message", { auth: USER, target: UPSTREAM }],
  ])("%s", (_name, init) => {
    expect(() => createMethods([UserService, serviceOf(init)])).toThrow(/test\.proto: test\.Things\/Do/);
  });

  test.each([
    ["public", { auth: PUBLIC }, "public"],
    ["for users", { auth: USER, target: LOGIC }, "user"],
    ["for users, target unspecified", { auth: USER, target: UNSPECIFIED }, "user"],
  ])("%s starts", (_name, init, auth) => {
    expect(createMethods([serviceOf(init)]).get("test.Things/Do")).toMatchObject({ auth, target: "logic" });
  });
});
