// The rules of google.api.http that the contract does not use yet, by a service that is made here: body fields, response bodies, nested
// query parameters, variables over several segments, verbs, custom methods.
import { create, createFileRegistry, type DescService, type MessageInitShape, setExtension } from "@bufbuild/protobuf";
import {
  type FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  type MethodDescriptorProtoSchema,
  MethodOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { type HttpRule, HttpRuleSchema, http } from "@im-gateway/proto";
import { describe, expect, test } from "vitest";
import { readMessage } from "../json/read.ts";
import { writeMessage } from "../json/write.ts";
import { createTranscoder, type Transcoder } from "./transcoder.ts";

type FieldInit = MessageInitShape<typeof FieldDescriptorProtoSchema>;
type MethodInit = MessageInitShape<typeof MethodDescriptorProtoSchema>;

function field(name: string, number: number, type: Type, more: FieldInit = {}): FieldInit {
  const jsonName = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return { name, jsonName, number, type, label: Label.OPTIONAL, ...more };
}

const ofType = (typeName: string): FieldInit => ({ typeName: `.test.${typeName}` });

/** A service of one method for each rule; request and answer are of one type. */
function serviceOf(rules: readonly (HttpRule | undefined)[], more: MethodInit = {}): DescService {
  const registry = createFileRegistry(
    create(FileDescriptorProtoSchema, {
      name: "test.proto",
      package: "test",
      syntax: "proto3",
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
          ],
          oneofDecl: [{ name: "contact" }],
        },
        {
          name: "Book",
          field: [
            field("name", 1, Type.STRING),
            field("book_id", 2, Type.STRING),
            field("pages", 3, Type.INT64),
            field("author", 4, Type.MESSAGE, ofType("Author")),
            field("editor", 5, Type.MESSAGE, ofType("Author")),
            field("tags", 6, Type.STRING, { label: Label.REPEATED }),
            field("kinds", 7, Type.ENUM, { label: Label.REPEATED, ...ofType("Kind") }),
            field("sequels", 8, Type.MESSAGE, { label: Label.REPEATED, ...ofType("Book") }),
            field("kind", 9, Type.ENUM, ofType("Kind")),
            field("lent", 10, Type.BOOL),
            field("rating", 11, Type.DOUBLE),
          ],
        },
      ],
      service: [
        {
          name: "Library",
          method: rules.map((rule, index) => {
            const options = create(MethodOptionsSchema);
            if (rule !== undefined) {
              setExtension(options, http, rule);
            }
            return { name: `M${index}`, inputType: ".test.Book", outputType: ".test.Book", options, ...more };
          }),
        },
      ],
    }),
    () => undefined,
  );
  return registry.getService("test.Library") ?? expect.unreachable("no service");
}

/** Answers every call with its request. */
const echo: Transport = {
  unary: async (method, _signal, _timeoutMs, _header, input) => ({
    stream: false,
    service: method.parent,
    method,
    header: new Headers(),
    trailer: new Headers(),
    message: readMessage(method.output, writeMessage(method.input, create(method.input, input)), "refuse"),
  }),
  stream: () => Promise.reject(new Error("no streams")),
};

const transcoderOf = (...rules: readonly HttpRule[]): Transcoder =>
  createTranscoder({ services: [serviceOf(rules)], transport: echo });
const get = (path: string): HttpRule => create(HttpRuleSchema, { pattern: { case: "get", value: path } });
const post = (path: string, body: string): HttpRule =>
  create(HttpRuleSchema, { pattern: { case: "post", value: path }, body });

const zero = { name: "", book_id: "", pages: 0, tags: [], kinds: [], sequels: [], kind: 0, lent: false, rating: 0 };

async function answer(transcoder: Transcoder, method: string, path: string, body?: unknown) {
  const bytes = body === undefined ? null : new TextEncoder().encode(JSON.stringify(body));
  const response = await transcoder.handle({ method, path, headers: new Headers(), body: bytes });
  const json: unknown = JSON.parse((await response.text()) || "{}");
  const details: { field_violations?: { field: string }[] }[] = Object(json).details ?? [];
  const fields = details.flatMap(({ field_violations = [] }) => field_violations.map((violation) => violation.field));
  return { status: response.status, allow: response.headers.get("allow"), json, fields };
}

describe("a query", () => {
  const library = transcoderOf(get("/books/{book_id}"), post("/authors/{author.full_name}", "author"));

  test.each([
    ["name=a+b%20c%2Bd", { name: "a b c+d" }],
    ["tags=a&tags=b&tags=", { tags: ["a", "b", ""] }],
    ["kinds=2&kinds=KIND_RARE&kinds=rare", { kinds: [2, 2, 2] }],
    ["kind=2", { kind: 2 }],
    [
      "author.full_name=A&author.mail=m&editor.phone=1",
      {
        author: { full_name: "A", mail: "m" },
        editor: { full_name: "", phone: "1" },
      },
    ],
    ["author.fullName=A", { author: { full_name: "A" } }],
    ["pages=-9007199254740992", { pages: -9007199254740992 }],
    ["lent=true&rating=1.5e3", { lent: true, rating: 1500 }],
    ["n%61me=x", { name: "x" }],
    ["name=", {}],
    ["&&", {}],
    ["name=?a=b", { name: "?a=b" }],
  ])("%s", async (query, expected) => {
    const { status, json } = await answer(library, "GET", `/books/b?${query}`);
    expect([status, json]).toEqual([200, { ...zero, book_id: "b", ...expected }]);
  });

  test.each([
    ["name=a&name=b", ["name"]],
    ["book_id=c", ["book_id"]],
    ["bookId=c", ["bookId"]],
    ["author.full_name=a&author.fullName=b", ["author.fullName"]],
    ["author.mail=a&author.phone=b", ["author.phone"]],
    ["author=x", ["author"]],
    ["author.full_name.x=x", ["author.full_name.x"]],
    ["author.=x", ["author."]],
    [".author=x", [".author"]],
    ["sequels=x", ["sequels"]],
    ["sequels.name=x", ["sequels.name"]],
    ["kind=7", ["kind"]],
    ["kind=none", ["kind"]],
    ["kinds=2&kinds=7", ["kinds"]],
    ["lent=1", ["lent"]],
    ["pages=1.0&rating=x&nope=1", ["pages", "rating", "nope"]],
    ["rating=0x10", ["rating"]],
    ["rating=%201", ["rating"]],
    ["rating=1e999", ["rating"]],
    ["=x", [""]],
    ["__proto__=x&constructor=y", ["__proto__", "constructor"]],
    ["name=%zz", [""]],
    ["%ff=x", [""]],
  ])("%s is refused", async (query, expected) => {
    const { status, fields } = await answer(library, "GET", `/books/b?${query}`);
    expect([status, fields]).toEqual([400, expected]);
  });

  test("of many bad keys the first 20 are named", async () => {
    const query = Array.from({ length: 1000 }, (_, index) => `k${index}=1`).join("&");
    const { status, fields } = await answer(library, "GET", `/books/b?${query}`);
    expect([status, fields.length]).toEqual([400, 20]);
  });

  test("beside a body that is one field", async () => {
    const author = { mail: "m" };
    const { json } = await answer(library, "POST", "/authors/A?name=n&pages=3", author);
    expect(json).toEqual({ ...zero, name: "n", pages: 3, author: { full_name: "A", mail: "m" } });
    expect(await answer(library, "POST", "/authors/A?author.phone=1", author)).toMatchObject({
      status: 400,
      fields: ["author.phone"],
    });
  });
});

describe("a body", () => {
  const library = transcoderOf(
    post("/whole", "*"),
    post("/author", "author"),
    post("/tags", "tags"),
    post("/name", "name"),
    { ...post("/sequels", "*"), responseBody: "sequels" },
    { ...post("/who", "*"), responseBody: "author" },
  );

  test.each([
    ["/whole", { name: "n", author: { fullName: "A" } }, { ...zero, name: "n", author: { full_name: "A" } }],
    ["/author", { full_name: "A" }, { ...zero, author: { full_name: "A" } }],
    ["/tags", ["a", "b"], { ...zero, tags: ["a", "b"] }],
    ["/name", "n", { ...zero, name: "n" }],
    ["/name", undefined, zero],
    ["/sequels", { sequels: [{ name: "2" }] }, [{ ...zero, name: "2" }]],
    ["/sequels", {}, []],
    ["/who", { author: { mail: "m" } }, { full_name: "", mail: "m" }],
    ["/who", {}, null],
  ])("%s with %j", async (path, body, expected) => {
    const { status, json } = await answer(library, "POST", path, body);
    expect([status, json]).toEqual([200, expected]);
  });

  test.each([
    ["/author", { nope: 1 }, ["author.nope"]],
    ["/author", [], ["author"]],
    ["/tags", ["a", 1], ["tags[1]"]],
    ["/tags", "a", ["tags"]],
    ["/name", 7, ["name"]],
    ["/whole", { author: { mail: "m", phone: "1" } }, ["author.phone"]],
    ["/whole", { sequels: [{}, { pages: "many" }] }, ["sequels[1].pages"]],
    ["/whole", "text", [""]],
  ])("%s with %j is refused", async (path, body, expected) => {
    const { status, fields } = await answer(library, "POST", path, body);
    expect([status, fields]).toEqual([400, expected]);
  });
});

describe("a path", () => {
  const library = transcoderOf(
    get("/v1/{name=shelves/*/books/*}"),
    get("/files/{name=**}"),
    get("/books/{book_id}:open"),
    { ...get("/books/{book_id}"), additionalBindings: [get("/b/{book_id}"), get("/by/{author.full_name}/{pages}")] },
    post("/books/{book_id}:close", "*"),
    create(HttpRuleSchema, { pattern: { case: "custom", value: { kind: "BREW", path: "/tea/{kind}" } } }),
  );

  test.each([
    ["/v1/shelves/a/books/b", { name: "shelves/a/books/b" }],
    ["/v1/shelves/a%2Fb/books/%61", { name: "shelves/a%2Fb/books/a" }],
    ["/files/a/b%20c/%2f", { name: "a/b c/%2f" }],
    ["/files", { name: "" }],
    ["/books/b:open", { book_id: "b" }],
    ["/books/b%3Aopen", { book_id: "b:open" }],
    ["/books/a:b:c", { book_id: "a:b:c" }],
    ["/books/a:open:open", { book_id: "a:open" }],
    ["/books/a:", { book_id: "a:" }],
    ["/books/%E4%BC%9A", { book_id: "会" }],
    ["/books/a+b", { book_id: "a+b" }],
    ["/books/...", { book_id: "..." }],
    ["/b/x", { book_id: "x" }],
    ["/by/A%20B/7", { author: { full_name: "A B" }, pages: 7 }],
  ])("%s", async (path, expected) => {
    const { status, json } = await answer(library, "GET", path);
    expect([status, json]).toEqual([200, { ...zero, ...expected }]);
  });

  test.each([
    ["GET", "/by/A/seven", 400],
    ["GET", "/books/%", 400],
    ["GET", "/books/a%2", 400],
    ["GET", "/books/%c0%af", 400],
    ["GET", "/files/a/%zz", 400],
    ["GET", "/files/a//b", 404],
    ["GET", "/files/", 404],
    ["GET", "/books/.", 400],
    ["GET", "/books/%2e%2E", 400],
    ["GET", "/books/..", 400],
    ["GET", "/books/.%2e/x", 400],
    ["GET", "xbooks/b", 404],
    ["GET", "", 404],
    ["OPTIONS", "*", 404],
    ["BREW", "/tea/7", 400],
    ["BREW", "/tea/RARE", 200],
    ["brew", "/tea/RARE", 405],
  ])("%s %s is answered %s", async (method, path, status) => {
    expect((await answer(library, method, path)).status).toBe(status);
  });

  test.each([
    ["DELETE", "/books/b", "GET, HEAD, OPTIONS"],
    // With the registered verb it is this path, without it the other.
    ["DELETE", "/books/b:close", "GET, POST, HEAD, OPTIONS"],
    ["POST", "/books/b:open", "GET, HEAD, OPTIONS"],
    ["GET", "/tea/2", "BREW, OPTIONS"],
  ])("%s %s names the methods", async (method, path, allow) => {
    expect(await answer(library, method, path)).toMatchObject({ status: 405, allow });
    expect(await answer(library, "OPTIONS", path)).toMatchObject({ status: 204, allow });
  });
});

test("methods without a rule have no route", () => {
  const routesOf = (service: DescService): number =>
    createTranscoder({ services: [service], transport: echo }).routes.length;
  expect(routesOf(serviceOf([get("/a"), undefined]))).toBe(1);
  expect(routesOf(serviceOf([undefined], { clientStreaming: true }))).toBe(0);
});

test.each([
  ["an unknown variable", get("/{nope}")],
  ["a variable below what is no message", get("/{name.x}")],
  ["a repeated variable", get("/{tags}")],
  ["a message as variable", get("/{author}")],
  ["the camelCase name of a field", get("/{bookId}")],
  ["an unknown body", post("/x", "nope")],
  ["a body below the top", post("/x", "author.mail")],
  ["an unknown response body", { ...get("/x"), responseBody: "nope" }],
  ["no path", create(HttpRuleSchema)],
  ["a bad template", get("/{name")],
  ["** before the end", get("/**/x")],
])("%s does not start", (_name, rule) => {
  expect(() => transcoderOf(rule)).toThrow(/test\.Library|path template/);
});

test.each([
  ["the same path", "/books/{book_id}", "/books/{book_id}"],
  ["another variable's name", "/books/{book_id}", "/books/{name}"],
  ["* and its long form", "/books/{book_id}", "/books/{name=*}"],
  ["an encoded literal", "/books", "/b%6Foks"],
  ["the same verb", "/books/{book_id}:open", "/books/{name}:open"],
])("two routes on one path do not start: %s", (_name, one, two) => {
  expect(() => transcoderOf(get(one), get(two))).toThrow("two methods answer");
  expect(() => transcoderOf(get(one), post(two, "*"))).not.toThrow();
});
