// A contract for tests, made of descriptors at run time: one service whose methods have the rules that a test needs.
import {
  create,
  createFileRegistry,
  type DescService,
  fromBinary,
  type MessageInitShape,
  setExtension,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_field_mask,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  FieldDescriptorProto_Label as Label,
  type MethodDescriptorProtoSchema,
  MethodOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { type HttpRule, HttpRuleSchema, http } from "@im-gateway/proto";
import { createTranscoder, type Transcoder, type TranscoderOptions } from "../src/transcode/transcoder.ts";

type FieldInit = MessageInitShape<typeof FieldDescriptorProtoSchema>;

const known = [file_google_protobuf_field_mask, file_google_protobuf_timestamp, file_google_protobuf_wrappers];

function field(name: string, number: number, type: Type, more: FieldInit = {}): FieldInit {
  const jsonName = name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return { name, jsonName, number, type, label: Label.OPTIONAL, ...more };
}

const message = (name: string, number: number, typeName: string, more: FieldInit = {}): FieldInit =>
  field(name, number, Type.MESSAGE, { typeName: typeName.startsWith(".") ? typeName : `.test.${typeName}`, ...more });

/** One method for each rule, `M0` and so on; each takes and gives a Book. */
export function libraryOf(
  rules: readonly HttpRule[],
  more: MessageInitShape<typeof MethodDescriptorProtoSchema> = {},
): DescService {
  const registry = createFileRegistry(
    create(FileDescriptorProtoSchema, {
      name: "library.proto",
      package: "test",
      syntax: "proto3",
      dependency: known.map(({ proto }) => proto.name),
      enumType: [
        {
          name: "Kind",
          value: [
            { name: "KIND_UNSPECIFIED", number: 0 },
            { name: "KIND_RARE", number: 2 },
          ],
        },
      ],
      messageType: [
        {
          name: "Author",
          field: [
            field("full_name", 1, Type.STRING),
            field("mail", 2, Type.STRING, { oneofIndex: 0 }),
            field("phone", 3, Type.STRING, { oneofIndex: 0 }),
            message("agent", 4, "Author"),
          ],
          oneofDecl: [{ name: "contact" }],
        },
        {
          name: "Book",
          field: [
            field("name", 1, Type.STRING),
            field("book_id", 2, Type.STRING),
            field("pages", 3, Type.INT64),
            message("author", 4, "Author"),
            message("editor", 5, "Author"),
            field("tags", 6, Type.STRING, { label: Label.REPEATED }),
            field("kinds", 7, Type.ENUM, { label: Label.REPEATED, typeName: ".test.Kind" }),
            message("sequels", 8, "Book", { label: Label.REPEATED }),
            field("kind", 9, Type.ENUM, { typeName: ".test.Kind" }),
            field("lent", 10, Type.BOOL),
            field("rating", 11, Type.DOUBLE),
            field("subtitle", 12, Type.STRING, { oneofIndex: 1, proto3Optional: true }),
            field("cover", 13, Type.BYTES),
            field("edition", 14, Type.INT32),
            field("copies", 15, Type.UINT64),
            field("paper", 16, Type.STRING, { oneofIndex: 0 }),
            message("reader", 17, "Author", { oneofIndex: 0 }),
            message("labels", 18, "Book.LabelsEntry", { label: Label.REPEATED }),
            message("published", 19, ".google.protobuf.Timestamp"),
            message("mask", 20, ".google.protobuf.FieldMask"),
            message("price", 21, ".google.protobuf.Int64Value"),
          ],
          oneofDecl: [{ name: "form" }, { name: "_subtitle" }],
          nestedType: [
            {
              name: "LabelsEntry",
              field: [field("key", 1, Type.STRING), field("value", 2, Type.STRING)],
              options: { mapEntry: true },
            },
          ],
        },
      ],
      service: [
        {
          name: "Library",
          method: rules.map((rule, index) => {
            const options = create(MethodOptionsSchema);
            setExtension(options, http, rule);
            return { name: `M${index}`, inputType: ".test.Book", outputType: ".test.Book", options, ...more };
          }),
        },
      ],
    }),
    (name) => known.find(({ proto }) => proto.name === name),
  );
  const service = registry.getService("test.Library");
  if (service === undefined) {
    throw new Error("the file has no service test.Library");
  }
  return service;
}

type RuleOptions = Partial<Pick<HttpRule, "responseBody" | "additionalBindings">>;

/** `rule("GET /books/{book_id}")`; a method that google.api.http has no word for is a custom one. */
export function rule(text: string, body = "", more: RuleOptions = {}): HttpRule {
  const [method = "", path = ""] = text.split(" ");
  const name = method.toLowerCase();
  const known = name === "get" || name === "put" || name === "post" || name === "delete" || name === "patch";
  return create(HttpRuleSchema, {
    pattern:
      known && method === method.toUpperCase()
        ? { case: name, value: path }
        : { case: "custom", value: { kind: method, path } },
    body,
    ...more,
  });
}

/** Answers every call with its request, every stream with it three times. */
export const echo: Transport = {
  async unary(method, _signal, _timeoutMs, _header, input) {
    const bytes = toBinary(method.input, create(method.input, input));
    const message = fromBinary(method.output, bytes);
    return { stream: false, service: method.parent, method, header: new Headers(), trailer: new Headers(), message };
  },
  async stream(method, _signal, _timeoutMs, _header, input) {
    const message = (async function* () {
      for await (const request of input) {
        const bytes = toBinary(method.input, create(method.input, request));
        for (let count = 0; count < 3; count++) {
          yield fromBinary(method.output, bytes);
        }
      }
    })();
    return { stream: true, service: method.parent, method, header: new Headers(), trailer: new Headers(), message };
  },
};

/** A transcoder of these rules; each answers with its request. */
export function transcoderOf(
  rules: readonly HttpRule[],
  options: Partial<TranscoderOptions<undefined>> = {},
): Transcoder {
  return createTranscoder({ services: [libraryOf(rules)], transport: echo, ...options });
}
