import { clone, create, createFileRegistry, type DescFile, setExtension } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodDescriptorProtoSchema,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { ClientFrameSchema, ConversationService, HttpRuleSchema, http, options } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { sdkFiles } from "./sdk-files.ts";

/** The contract's files after a change, in the order that they need each other. */
function generate(change: (file: FileDescriptorProto) => void = () => {}): ReadonlyMap<string, string> {
  const files = new Map<string, FileDescriptorProto>();
  const add = ({ proto, dependencies }: DescFile): void => {
    dependencies.forEach(add);
    if (!files.has(proto.name)) {
      const file = clone(FileDescriptorProtoSchema, proto);
      change(file);
      files.set(proto.name, file);
    }
  };
  for (const { file } of [ClientFrameSchema, ConversationService]) {
    add(file);
  }
  return sdkFiles(createFileRegistry(create(FileDescriptorSetSchema, { file: [...files.values()] })));
}

const inConversations = (change: (file: FileDescriptorProto) => void) => (file: FileDescriptorProto) => {
  if (file.name === ConversationService.file.proto.name) {
    change(file);
  }
};

/** A method `Pin` with the messages of another one. */
const withMethod = (path: string) =>
  inConversations(({ package: name, service: [service] }) => {
    const methodOptions = create(MethodOptionsSchema);
    setExtension(methodOptions, http, create(HttpRuleSchema, { pattern: { case: "put", value: path }, body: "*" }));
    service?.method.push(
      create(MethodDescriptorProtoSchema, {
        name: "Pin",
        inputType: `.${name}.GetConversationRequest`,
        outputType: `.${name}.Conversation`,
        options: methodOptions,
      }),
    );
  });

test("a new method is typed, named and routed", () => {
  const methods = generate(withMethod("/api/v1/conversations/{conversation_id}:pin")).get("methods.ts");
  expect(methods).toContain("pin(request: GetConversationRequest, options?: CallOptions): Promise<Conversation>;");
  expect(methods).toContain(
    '"im.logic.v1.ConversationService/Pin": { request: GetConversationRequest; response: Conversation };',
  );
  expect(methods).toContain('pin: "PUT /api/v1/conversations/{conversation_id}:pin *"');
});

test("a template that the SDK's small encoder can not fill is refused, by the method's name", () => {
  expect(() => generate(withMethod("/api/v1/{conversation_id=conversations/**}"))).toThrow(
    "im.logic.v1.ConversationService/Pin",
  );
});

test("a field that the token fills is in no request, one that is required is not optional", () => {
  const types = generate().get("types.ts");
  expect(types).toContain("export type GetConversationRequest = {\n  conversation_id: string;\n};");
  const filled = generate(
    inConversations(({ messageType }) => {
      const field = messageType
        .find(({ name }) => name === "GetConversationRequest")
        ?.field.find(({ name }) => name === "conversation_id");
      if (field?.options !== undefined) {
        setExtension(field.options, options.identity, options.Identity.USER_ID);
      }
    }),
  );
  expect(filled.get("types.ts")).toContain("export type GetConversationRequest = Record<string, never>;");
});

test("of a message that goes both ways the request has its own type, with optional fields", () => {
  const types = generate(
    inConversations(({ package: name, service: [service] }) => {
      for (const method of service?.method ?? []) {
        if (method.name === "UpdateConversation") {
          method.inputType = `.${name}.Conversation`;
        }
      }
    }),
  ).get("types.ts");
  expect(types).toContain("export type Conversation = {\n  conversation_id: string;");
  expect(types).toContain("export type ConversationInput = {\n  conversation_id?: string | undefined;");
});
