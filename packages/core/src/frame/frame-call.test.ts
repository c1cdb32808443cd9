import { create, getOption } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type ClientFrame, ClientFrameSchema, options } from "@im-gateway/proto";
import { describe, expect, test } from "vitest";
import { createMethods } from "../methods.ts";
import { defaultServices } from "../options.ts";
import { decodeClientFrame } from "./codec.ts";
import { frameCall } from "./frame-call.ts";

function dataOf(type: string, data: object): ClientFrame["data"] {
  const { frame } = decodeClientFrame(JSON.stringify({ type, message_id: "m", data }));
  return frame?.data ?? expect.unreachable("not a frame");
}

test("a call names its method and carries its request as it came", () => {
  const request = { group_id: "g", page_size: 5, filter: { tags: ["a", null, true] } };
  const method = "im.logic.v1.GroupService/GetGroup";
  const call = frameCall(dataOf("call", { method, request, timeout_ms: 250 }));
  expect(call).toMatchObject({ method, request, timeoutMs: 250 });
  expect(call.toAnswer({ group_id: "g" })).toEqual({ case: "reply", value: { response: { group_id: "g" } } });
});

test("a call without a request has an empty one, and no deadline of its own", () => {
  expect(frameCall(dataOf("call", { method: "x" }))).toMatchObject({ request: {}, timeoutMs: undefined });
});

test.each([0, -1])("a call with a timeout of %s ms is refused", (timeout_ms) => {
  const call = dataOf("call", { method: "x", timeout_ms });
  expect(() => frameCall(call)).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
});

test("ids of a call keep every digit", () => {
  const text =
    '{"type":"call","data":{"method":"x","request":{"user_id":12345678901234567890,"n":[9007199254740993]}}}';
  const { frame } = decodeClientFrame(text);
  const { request } = frameCall(frame?.data ?? expect.unreachable("not a frame"));
  expect(request).toEqual({ user_id: "12345678901234567890", n: ["9007199254740993"] });
});

test("mark-read is the call that its option names, answered by ack", () => {
  const call = frameCall(dataOf("mark-read", { conversationId: "c", seq_id: 9007199254740992 }));
  expect(call).toMatchObject({
    method: "im.logic.v1.ConversationService/MarkRead",
    request: { conversation_id: "c", seq_id: 9007199254740992 },
  });
  expect(call.toAnswer({ unread_count: 3 })).toEqual({ case: "ack", value: {} });
});

test("every frame_method of the contract is a method that there is, and takes the frame's fields", () => {
  const methods = createMethods(defaultServices, "clients");
  for (const field of ClientFrameSchema.fields) {
    const name = getOption(field, options.frame_method);
    if (name !== "") {
      const input = methods.get(name)?.desc.input.fields.map((each) => each.name);
      expect(input, name).toEqual(expect.arrayContaining(field.message?.fields.map((each) => each.name) ?? []));
    }
  }
});

describe("what calls nothing", () => {
  test.each([
    ["typing", dataOf("typing", { conversation_id: "c" })],
    ["ping", dataOf("ping", {})],
    ["nothing", create(ClientFrameSchema).data],
  ])("%s is unimplemented", (_name, data) => {
    expect(() => frameCall(data)).toThrow(ConnectError);
    expect(() => frameCall(data)).toThrow(expect.objectContaining({ code: Code.Unimplemented }));
  });
});
