// Every kind of field that a .proto can have, not only those that ours has so far: by a message that is made here.
import { create, createFileRegistry, type DescField, equals, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import {
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "@im-gateway/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readMessage } from "./read.ts";
import { readText } from "./scalars.ts";
import { parseJson } from "./text.ts";
import { writeMessage } from "./write.ts";

const scalars = [
  "double",
  "float",
  "int32",
  "sint32",
  "sfixed32",
  "uint32",
  "fixed32",
  "int64",
  "sint64",
  "sfixed64",
  "uint64",
  "fixed64",
  "bool",
  "string",
  "bytes",
] as const;
type Scalar = (typeof scalars)[number];

const typeOf = (name: Scalar): Type => Type[name.toUpperCase() as Uppercase<Scalar>];

/** message Every { double f_double = 1; … repeated double r_double = 101; … map<int32, sint64> by_number = 201; map<bool, Every> by_flag = 202; } */
const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: "every.proto",
    package: "test",
    syntax: "proto3",
    messageType: [
      {
        name: "Every",
        field: [
          ...scalars.flatMap((name, index) => [
            create(FieldDescriptorProtoSchema, {
              name: `f_${name}`,
              jsonName: `f${name.replace(/^./, (first) => first.toUpperCase())}`,
              number: index + 1,
              label: Label.OPTIONAL,
              type: typeOf(name),
            }),
            create(FieldDescriptorProtoSchema, {
              name: `r_${name}`,
              jsonName: `r_${name}`,
              number: index + 101,
              label: Label.REPEATED,
              type: typeOf(name),
            }),
          ]),
          mapField("by_number", 201, "ByNumberEntry"),
          mapField("by_flag", 202, "ByFlagEntry"),
        ],
        nestedType: [
          mapEntry("ByNumberEntry", Type.INT32, { type: Type.SINT64 }),
          mapEntry("ByFlagEntry", Type.BOOL, { type: Type.MESSAGE, typeName: ".test.Every" }),
        ],
      },
    ],
  }),
  () => undefined,
);

function mapField(name: string, number: number, entry: string) {
  const typeName = `.test.Every.${entry}`;
  return { name, jsonName: name, number, label: Label.REPEATED, type: Type.MESSAGE, typeName };
}

function mapEntry(name: string, key: Type, value: { type: Type; typeName?: string }) {
  return {
    name,
    options: { mapEntry: true },
    field: [
      { name: "key", jsonName: "key", number: 1, label: Label.OPTIONAL, type: key },
      { name: "value", jsonName: "value", number: 2, label: Label.OPTIONAL, ...value },
    ],
  };
}

const every = registry.getMessage("test.Every") ?? expect.unreachable("no descriptor");

function read(json: string): object {
  return readMessage(every, parseJson(json), "refuse");
}

function refusedFields(json: string): string[] {
  try {
    read(json);
  } catch (error) {
    if (error instanceof ConnectError) {
      const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
      return violations.map(({ field }) => field);
    }
    throw error;
  }
  return [];
}

const int32 = { good: ["0", "-2147483648", "2147483647", "1e3", '"12"'], bad: ["2147483648", "-2147483649", "1.5"] };
const uint32 = { good: ["0", "4294967295", '"7"'], bad: ["4294967296", "-1", "0.5", '"+1"'] };
const int64 = {
  good: ["0", "9007199254740992", "-9007199254740992", "1e15", '"9007199254740992"'],
  bad: ["9007199254740993", "-1e300", '"1e3"', '"9007199254740993"'],
};
const uint64 = { good: ["0", "9007199254740992", '"5"'], bad: ["-1", "9007199254740993", '"-1"'] };
const table: Readonly<Record<Scalar, { readonly good: readonly string[]; readonly bad: readonly string[] }>> = {
  double: {
    good: ["0", "-1.5", "1e308", "5e-324", "9007199254740993", "1".padEnd(300, "0")],
    bad: ['"1"', '"NaN"', "1".padEnd(400, "0")],
  },
  float: { good: ["0", "-1.5", "1e38"], bad: ["1e39", '"Infinity"'] },
  int32,
  sint32: int32,
  sfixed32: int32,
  uint32,
  fixed32: uint32,
  int64,
  sint64: int64,
  sfixed64: int64,
  uint64,
  fixed64: uint64,
  bool: { good: ["true", "false"], bad: ["0", '"true"'] },
  string: { good: ['""', '"会"'], bad: ["1", "true"] },
  bytes: { good: ['""', '"AP8="', '"AP8"', '"_w"'], bad: ["1", '"!"', "[1]"] },
};

test.each(scalars)("%s: what fits is taken, in snake_case and in camelCase; what does not is named", (name) => {
  const { good, bad } = table[name];
  const camel = every.field[`f${name.replace(/^./, (first) => first.toUpperCase())}`]?.jsonName ?? "";
  for (const value of good) {
    const message = reflect(every, readMessage(every, parseJson(`{"f_${name}":${value}}`), "refuse"));
    expect(read(`{"${camel}":${value}}`)).toEqual(message.message);
    expect(read(`{"f_${name}":${value},"r_${name}":[${value}]}`)).toMatchObject({
      [`f${camel.slice(1)}`]: Object(message.message)[`f${camel.slice(1)}`],
    });
  }
  for (const value of [...bad, "{}", "[]"]) {
    expect(refusedFields(`{"f_${name}":${value}}`), value).toEqual([`f_${name}`]);
    expect(refusedFields(`{"r_${name}":[${good[0]},${value}]}`), value).toEqual([`r_${name}[1]`]);
  }
  expect(refusedFields(`{"r_${name}":[null]}`)).toEqual([`r_${name}[0]`]);
  expect(refusedFields(`{"r_${name}":${good[0]}}`)).toEqual([`r_${name}`]);
});

test("maps by number and by flag", () => {
  expect(read('{"by_number":{"-5":9,"0":"1"},"by_flag":{"true":{"f_int32":1}}}')).toMatchObject({
    byNumber: { "-5": 9n, 0: 1n },
    byFlag: { true: { fInt32: 1 } },
  });
  const bad = '{"by_number":{"x":1,"01":1,"1":{}},"by_flag":{"yes":{},"false":{"f_int32":"x","nope":1}}}';
  expect(refusedFields(bad).sort()).toEqual([
    "by_flag.false.f_int32",
    "by_flag.false.nope",
    "by_flag.yes",
    "by_number.01",
    "by_number.1",
    "by_number.x",
  ]);
  for (const value of ["[]", '["a"]', '"text"', "1", "true"]) {
    expect(refusedFields(`{"by_number":${value}}`)).toEqual(["by_number"]);
  }
  expect(read('{"by_number":null}')).toEqual(read("{}"));
});

test("what was written is read back the same", () => {
  const int53 = fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n });
  const uint53 = fc.bigInt({ min: 0n, max: 2n ** 53n });
  const number = fc.double({ noDefaultInfinity: true, noNaN: true }).map((value) => value + 0);
  const arbitrary: Readonly<Record<Scalar, fc.Arbitrary<unknown>>> = {
    double: number,
    float: fc.float({ noDefaultInfinity: true, noNaN: true }).map((value) => value + 0),
    int32: fc.integer(),
    sint32: fc.integer(),
    sfixed32: fc.integer(),
    uint32: fc.nat(),
    fixed32: fc.nat(),
    int64: int53,
    sint64: int53,
    sfixed64: int53,
    uint64: uint53,
    fixed64: uint53,
    bool: fc.boolean(),
    string: fc.string({ unit: "grapheme" }),
    bytes: fc.uint8Array(),
  };
  const fields = Object.fromEntries(
    every.fields.flatMap((field): [string, fc.Arbitrary<unknown>][] => {
      const scalar = scalarOf(field);
      if (scalar === undefined) {
        return [];
      }
      return [[field.localName, field.fieldKind === "list" ? fc.array(arbitrary[scalar]) : arbitrary[scalar]]];
    }),
  );
  fc.assert(
    fc.property(
      fc.record(fields, { requiredKeys: [] }),
      fc.dictionary(fc.integer().map(String), int53),
      (init, byNumber) => {
        const message = create(every, { ...init, byNumber });
        const text = JSON.stringify(writeMessage(every, message));
        const again = readMessage(every, parseJson(text), "refuse");
        expect(equals(every, again, message)).toBe(true);
      },
    ),
  );
});

function scalarOf(field: DescField): Scalar | undefined {
  const name = field.scalar === undefined ? undefined : ScalarType[field.scalar].toLowerCase();
  return field.fieldKind === "map" ? undefined : scalars.find((scalar) => scalar === name);
}

test.each([
  ["double", ["1.5", "-1e3"], ["", "x", "Infinity", "NaN"]],
  ["int32", ["12", "-1"], ["", "1.0", "0x10", "1e3", " 1", "2147483648"]],
  ["uint64", ["9007199254740992"], ["-1", "9007199254740993"]],
  ["bool", ["true", "false"], ["1", "True", ""]],
  ["string", ["", "null"], []],
  ["bytes", ["AP8"], ["!"]],
] as const)("%s from the text of a path or query", (name, good, bad) => {
  const field = every.field[`f${name.replace(/^./, (first) => first.toUpperCase())}`] ?? expect.unreachable("no field");
  const list = every.field[`r${name.replace(/^./, (first) => first.toUpperCase())}`] ?? expect.unreachable("no field");
  const message = () => reflect(every, create(every));
  for (const text of good) {
    expect(readText(message(), field, [text])).toBeUndefined();
  }
  for (const text of bad) {
    expect(readText(message(), field, [text]), text).toBeTypeOf("string");
  }
  expect(readText(message(), field, [good[0], good[0]])).toBe("must be given once");
  const many = message();
  expect(readText(many, list, good)).toBeUndefined();
  expect(Object(many.get(list)).size).toBe(good.length);
});

test("a map can not be given in a query", () => {
  const field = every.field.byNumber ?? expect.unreachable("no field");
  expect(readText(reflect(every, create(every)), field, ["1"])).toBeTypeOf("string");
});
