// Requests and answers that are a well-known type, or hold one: in a contract from anywhere they may.
import { create, createFileRegistry, fromBinary, setExtension, toBinary } from "@bufbuild/protobuf";
import {
  AnySchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  FieldDescriptorProto_Label as Label,
  MethodOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { HttpRuleSchema, http } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { echo } from "../../test/library.ts";
import { createTranscoder } from "./transcoder.ts";

const known = [
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
];

const options = create(MethodOptionsSchema);
setExtension(options, http, create(HttpRuleSchema, { pattern: { case: "post", value: "/M" }, body: "*" }));

function registryOf(type: string) {
  const file = create(FileDescriptorProtoSchema, {
    name: "any.proto",
    package: "test",
    syntax: "proto3",
    dependency: known.map(({ proto }) => proto.name),
    messageType: [
      {
        name: "Holder",
        field: [
          { name: "held", number: 1, type: Type.MESSAGE, typeName: ".google.protobuf.Any", label: Label.OPTIONAL },
          { name: "at_ms", jsonName: "atMs", number: 2, type: Type.INT64, label: Label.OPTIONAL },
        ],
      },
    ],
    service: [{ name: "S", method: [{ name: "M", inputType: type, outputType: type, options }] }],
  });
  return createFileRegistry(file, (name) => known.find(({ proto }) => proto.name === name));
}

const holder = "type.googleapis.com/test.Holder";
const duration = "type.googleapis.com/google.protobuf.Duration";

test.each<[string, string, number, string]>([
  ["Struct", '{"a":1,"b":[true]}', 200, '{"a":1,"b":[true]}'],
  ["Struct", "[]", 400, ""],
  ["Timestamp", '"2020-01-01T00:00:00Z"', 200, '"2020-01-01T00:00:00Z"'],
  ["Timestamp", "{}", 400, ""],
  ["ListValue", "[1]", 200, "[1]"],
  ["Any", `{"@type":"${holder}","at_ms":5}`, 200, `{"@type":"${holder}","at_ms":5}`],
  ["Any", `{"@type":"${duration}","value":"1s"}`, 200, `{"@type":"${duration}","value":"1s"}`],
  ["Any", `{"@type":"${duration}"}`, 400, ""],
  ["Any", `{"@type":"${holder}","nope":5}`, 400, "nope"],
  ["Any", '{"@type":"type.googleapis.com/test.Nobody"}', 400, ""],
  ["Any", '{"@type":5}', 400, ""],
  ["Any", "{}", 200, "{}"],
  [
    ".test.Holder",
    `{"held":{"@type":"${holder}","atMs":5}}`,
    200,
    `{"held":{"@type":"${holder}","at_ms":5},"at_ms":0}`,
  ],
  [".test.Holder", `{"held":{"@type":"${holder}","nope":5}}`, 400, "held.nope"],
])("a %s from %s: %i %s", async (type, body, status, expected) => {
  const registry = registryOf(type.startsWith(".") ? type : `.google.protobuf.${type}`);
  const transcoder = createTranscoder({ registry, services: ["test.S"], transport: echo });
  const sent = new TextEncoder().encode(body);
  const answer = await transcoder.handle({ method: "POST", path: "/M", headers: new Headers(), body: sent });
  const text = await answer.text();
  expect([answer.status, status === 200 ? text : JSON.parse(text).details[1].field_violations[0].field]).toEqual([
    status,
    expected,
  ]);
});

test.each([
  ["of an unknown type", "type.googleapis.com/test.Nobody", Uint8Array.of(8, 1)],
  ["that is not what it says", holder, Uint8Array.of(255)],
])("an Any of an answer %s stays opaque", async (_name, typeUrl, value) => {
  const registry = registryOf(".google.protobuf.Any");
  const bytes = toBinary(AnySchema, create(AnySchema, { typeUrl, value }));
  const transport: Transport = {
    ...echo,
    async unary(method) {
      const message = fromBinary(method.output, bytes);
      return { stream: false, service: method.parent, method, header: new Headers(), trailer: new Headers(), message };
    },
  };
  const transcoder = createTranscoder({ registry, services: ["test.S"], transport });
  const answer = await transcoder.handle({ method: "POST", path: "/M", headers: new Headers(), body: null });
  expect(await answer.json()).toEqual({ "@type": typeUrl, value: Buffer.from(value).toString("base64") });
});
