// Where grpc-gateway, Envoy and vanguard-go disagree: what ours does. The rows read like the table of the decision (docs/transcoder.md).
import { BadRequestSchema, ErrorInfoSchema, type HttpRule } from "@im-gateway/proto";
import { describe, expect, test } from "vitest";
import { libraryOf, rule, transcoderOf } from "../../test/library.ts";
import { describeRoute } from "./routes.ts";

const library = transcoderOf(
  [
    rule("GET /books/{book_id}"),
    rule("DELETE /books/{book_id}"),
    rule("GET /books/{book_id}:open"),
    rule("POST /books/{book_id}:close", "*"),
    rule("GET /shelves/{name=rooms/*/shelves/*}"),
    rule("GET /files/{name=**}"),
    rule("POST /books", "*"),
    rule("PUT /authors/{author.full_name}", "author"),
    rule("PUT /tags", "tags"),
    rule("PUT /names", "name"),
    rule("PUT /sequels", "sequels"),
    rule("POST /who", "*", { responseBody: "author" }),
    rule("POST /pages", "*", { responseBody: "pages" }),
    rule("GET /search", "name"),
    rule("BREW /tea/{book_id}"),
    rule("* /any/{book_id}"),
    rule("GET /mixed/{book_id}"),
    rule("* /mixed/{book_id}"),
    rule("HEAD /own/{book_id}"),
    rule("GET /"),
    rule("GET /a/x/{name}"),
    rule("GET /a/{book_id}/y"),
  ],
  { allowedQueryKeys: ["utm_source", "name"] },
);

interface Sent {
  readonly body?: string | Uint8Array;
  readonly headers?: Record<string, string>;
}

/** `200 {…}` with what the echo shows of the request; else status, reason, and the fields that are named. */
async function outcome(request: string, { body, headers = {} }: Sent = {}): Promise<string> {
  const [method = "", ...path] = request.split(" ");
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : (body ?? null);
  const raw = { method, path: path.join(" "), headers: new Headers(headers), body: bytes };
  const response = await library.handle(raw);
  const text = await response.text();
  const allow = response.headers.get("allow");
  const shown = allow === null ? "" : ` (${allow})`;
  if (text === "") {
    return `${response.status}${shown}`;
  }
  expect(response.headers.get("content-type")).toBe("application/json");
  const json: unknown = JSON.parse(text);
  if (response.ok) {
    return `200 ${compact(json)}`;
  }
  const { details = [] }: { details?: Record<string, unknown>[] } = Object(json);
  const [info, bad] = [ErrorInfoSchema, BadRequestSchema].map(({ typeName }) =>
    details.find((detail) => String(detail["@type"]).endsWith(typeName)),
  );
  const violations: { field: string }[] = Array.isArray(bad?.field_violations) ? bad.field_violations : [];
  const reason = violations.length > 0 ? violations.map(({ field }) => field || "-").join(", ") : info?.reason;
  return `${response.status} ${String(reason)}${shown}`;
}

/** Without zero values. */
function compact(json: unknown): string {
  return JSON.stringify(json, (_key, value: unknown) =>
    value === "" || value === 0 || value === false || (Array.isArray(value) && value.length === 0) ? undefined : value,
  )
    .replaceAll(',"labels":{}', "")
    .replaceAll('"labels":{}', "");
}

type Row = readonly [request: string, expected: string, sent?: Sent];

const json = (body: string): Sent => ({ body, headers: { "content-type": "application/json" } });

const cases: Readonly<Record<string, readonly Row[]>> = {
  "wrong method on a known path: 405 with Allow; HEAD follows GET; OPTIONS answers": [
    ["POST /books/b", "405 METHOD_NOT_ALLOWED (DELETE, GET, HEAD, OPTIONS)"],
    ["get /books/b", "405 METHOD_NOT_ALLOWED (DELETE, GET, HEAD, OPTIONS)"],
    ["HEAD /books/b", "200"],
    ["HEAD /books", "405 (POST, OPTIONS)"],
    ["OPTIONS /books/b", "204 (DELETE, GET, HEAD, OPTIONS)"],
    ["OPTIONS /any/b", "204 (DELETE, GET, PATCH, POST, PUT, HEAD, OPTIONS)"],
    ["HEAD /own/b", "200"],
    ["GET /own/b", "405 METHOD_NOT_ALLOWED (HEAD, OPTIONS)"],
  ],
  "custom kinds; * is any method": [
    ["BREW /tea/b", '200 {"book_id":"b"}'],
    ["brew /tea/b", "405 METHOD_NOT_ALLOWED (BREW, OPTIONS)"],
    ["PROPFIND /any/b", '200 {"book_id":"b"}'],
    ["HEAD /any/b", "200"],
    ["GET /mixed/b", '200 {"book_id":"b"}'],
    ["PATCH /mixed/b", '200 {"book_id":"b"}'],
  ],
  "no route: 404, JSON": [
    ["GET /nowhere", "404 NO_ROUTE"],
    ["GET books/b", "404 NO_ROUTE"],
    ["GET ", "404 NO_ROUTE"],
    ["OPTIONS *", "404 NO_ROUTE"],
    ["GET /", "200 {}"],
  ],
  "a : in an id: a verb only if a registered verb ends the path, else part of the id": [
    ["GET /books/single:1:2", '200 {"book_id":"single:1:2"}'],
    ["GET /books/single:1:2:open", '200 {"book_id":"single:1:2"}'],
    ["GET /books/b:shut", '200 {"book_id":"b:shut"}'],
    ["GET /books/b:", '200 {"book_id":"b:"}'],
    ["GET /books/b%3Aopen", '200 {"book_id":"b:open"}'],
    // Registered, but for another method: an id then.
    ["GET /books/b:close", '200 {"book_id":"b:close"}'],
    ["POST /books/b:open", "405 METHOD_NOT_ALLOWED (DELETE, GET, HEAD, OPTIONS)"],
    ["GET /files/b:open", '200 {"name":"b:open"}'],
  ],
  "literals before wildcards, with a way back": [
    ["GET /a/x/y", '200 {"name":"y"}'],
    ["GET /a/b/y", '200 {"book_id":"b"}'],
    ["GET /a/x/z", '200 {"name":"z"}'],
    ["GET /a/b/z", "404 NO_ROUTE"],
  ],
  "%2F in a one-segment variable: decoded into the value; in a multi-segment variable kept": [
    ["GET /books/a%2Fb", '200 {"book_id":"a/b"}'],
    ["GET /shelves/rooms/a%2Fb/shelves/%61%2f", '200 {"name":"rooms/a%2Fb/shelves/a%2f"}'],
    ["GET /files/a/b%2Fc%20d", '200 {"name":"a/b%2Fc d"}'],
    ["GET /files", "200 {}"],
  ],
  "bad %zz, invalid UTF-8: 400": [
    ["GET /books/%zz", "400 -"],
    ["GET /books/%", "400 -"],
    ["GET /books/%ff", "400 -"],
    ["GET /books/%c0%af", "400 -"],
    ["GET /files/a/%zz", "400 -"],
    ["GET /books/b?name=%zz", "400 -"],
    ["GET /books/b?%ff=x", "400 -"],
    ["GET /books/\u00e9", "400 -"],
    ["GET /books/b?tags=\u4f1a", "400 -"],
    ["POST /books", "400 MALFORMED_JSON", { body: Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d) }],
  ],
  "+ in a query: a space": [
    ["GET /books/a+b?tags=a+b%2B", '200 {"book_id":"a+b","tags":["a b+"]}'],
    ["GET /search?book+id=x", "400 book id"],
  ],
  "unknown query key or body field: 400 with a field violation; tracing keys may be let through": [
    ["GET /books/b?nope=1", "400 nope"],
    ["GET /books/b?Name=1", "400 Name"],
    ["GET /books/b?author.nope=1&published.seconds=1", "400 author.nope, published.seconds"],
    ["GET /books/b?=1", "400 -"],
    ["GET /books/b?utm_source=mail&tags=a", '200 {"book_id":"b","tags":["a"]}'],
    ["POST /books?utm_source=mail", '200 {"name":"n"}', json('{"name":"n"}')],
    ["POST /books?gclid=1", "400 gclid", json("{}")],
    // A field is no tracing key, whatever the list says.
    ["GET /books/b?name=n", '200 {"name":"n","book_id":"b"}'],
    ["POST /books", "400 nope", json('{"nope":1}')],
    ["POST /books", "400 author.nope, sequels[0].Name", json('{"author":{"nope":1},"sequels":[{"Name":""}]}')],
  ],
  "query key equal to, under or over a bound path or body field: 400": [
    ["GET /books/b?book_id=c", "400 book_id"],
    ["GET /books/b?bookId=b", "400 bookId"],
    ["PUT /authors/a?author.full_name=b", "400 author.full_name"],
    ["PUT /authors/a?author=b", "400 author"],
    ["PUT /authors/a?author.mail=b", "400 author.mail"],
    ["PUT /authors/a?author.agent.mail=b", "400 author.agent.mail"],
    ["PUT /tags?tags=a", "400 tags", json('["b"]')],
    ["PUT /tags?name=a", '200 {"name":"a","tags":["b"]}', json('["b"]')],
    ["POST /books?name=a", "400 name", json("{}")],
  ],
  "a body field that the path gives: 400": [
    ["PUT /authors/a", "400 author.full_name", json('{"full_name":"a"}')],
    ["PUT /authors/a", "400 author.fullName", json('{"fullName":""}')],
    ["PUT /authors/a", '200 {"author":{"full_name":"a","mail":"m"}}', json('{"mail":"m","full_name":null}')],
    ["POST /books/b:close", "400 bookId", json('{"bookId":"b"}')],
  ],
  "singular given twice, oneof set twice, duplicate JSON key: 400": [
    ["GET /books/b?edition=1&edition=1", "400 edition"],
    ["GET /books/b?author.full_name=a&author.fullName=a", "400 author.fullName"],
    ["GET /books/b?paper=a&reader.mail=b", "400 reader.mail"],
    ["GET /books/b?author.mail=a&author.phone=b", "400 author.phone"],
    ["GET /books/b?author.mail=a&editor.phone=b", '200 {"book_id":"b","author":{"mail":"a"},"editor":{"phone":"b"}}'],
    ["POST /books", "400 reader", json('{"paper":"a","reader":{}}')],
    ["POST /books", "400 author.phone", json('{"author":{"mail":"","phone":""}}')],
    ["POST /books", "400 book_id", json('{"book_id":"a","bookId":"a"}')],
    ["POST /books", "400 MALFORMED_JSON", json('{"name":"a","name":"a"}')],
    ["POST /books", "400 MALFORMED_JSON", json('{"labels":{"a":"1","\\u0061":"2"}}')],
    ["PUT /authors/a?paper=x&reader.mail=m", "400 reader.mail", json("{}")],
  ],
  "bool: true, false": [
    ["GET /books/b?lent=true", '200 {"book_id":"b","lent":true}'],
    ["GET /books/b?lent=false", '200 {"book_id":"b"}'],
    ...["1", "t", "TRUE", "True", "", "yes"].map((text): Row => [`GET /books/b?lent=${text}`, "400 lent"]),
    ["POST /books", "400 lent", json('{"lent":"true"}')],
    ["POST /books", "400 lent", json('{"lent":1}')],
  ],
  "int: plain decimal in range": [
    ["GET /books/b?edition=-2147483648", '200 {"book_id":"b","edition":-2147483648}'],
    ["GET /books/b?pages=9007199254740992", '200 {"book_id":"b","pages":9007199254740992}'],
    ...["2147483648", "0x10", "1e2", "1.0", "+1", "01", "%201", "", "-", "Infinity"].map(
      (text): Row => [`GET /books/b?edition=${text}`, "400 edition"],
    ),
    ["GET /books/b?pages=9007199254740993&copies=-1", "400 pages, copies"],
    ["POST /books", "400 edition, pages", json('{"edition":1.5,"pages":9007199254740993}')],
    ["POST /books", "400 edition", json('{"edition":"0x10"}')],
  ],
  "enum: name or number, an unknown number 400": [
    ["GET /books/b?kind=KIND_RARE", '200 {"book_id":"b","kind":2}'],
    ["GET /books/b?kinds=2&kinds=KIND_RARE", '200 {"book_id":"b","kinds":[2,2]}'],
    ["GET /books/b?kind=7", "400 kind"],
    ["GET /books/b?kind=KIND_OLD", "400 kind"],
    ["GET /books/b?kind=", "400 kind"],
    ["POST /books", "400 kind", json('{"kind":7}')],
    ["POST /books", "400 kinds[1]", json('{"kinds":[2,7]}')],
    ["POST /books", "400 kind", json('{"kind":"KIND_OLD"}')],
  ],
  "body where the rule has none: 400 unless empty": [
    ["GET /books/b", '200 {"book_id":"b"}', json("")],
    ["GET /books/b", "400 -", json("{}")],
    ["DELETE /books/b", "400 -", json("null")],
  ],
  "empty body where the rule has *: the empty message": [
    ["POST /books", "200 {}", json("")],
    ["POST /books", "200 {}", json("{}")],
    ["POST /books", "400 -", json("null")],
    ["POST /books", "400 -", json("[]")],
    ["POST /books", "400 MALFORMED_JSON", json(" ")],
    ["PUT /tags", "200 {}", json("")],
  ],
  "a body that is one field, a GET with a body, an answer that is one field": [
    ["PUT /tags", '200 {"tags":["a"]}', json('["a"]')],
    ["PUT /names", '200 {"name":"n"}', json('"n"')],
    ["PUT /sequels", '200 {"sequels":[{"name":"2"}]}', json('[{"name":"2"}]')],
    ["PUT /sequels", "400 sequels[0].nope", json('[{"nope":1}]')],
    ["PUT /names", "400 name", json("{}")],
    ["GET /search?kind=2", '200 {"name":"n","kind":2}', json('"n"')],
    ["POST /who", '200 {"mail":"m"}', json('{"author":{"mail":"m"}}')],
    ["POST /who", "200 null", json("{}")],
    ["POST /pages", "200 7", json('{"pages":7}')],
  ],
  "well-known types in a query are what they are in JSON": [
    ["GET /books/b?price=7&mask=name,bookId", '200 {"book_id":"b","mask":"name,bookId","price":7}'],
    ["GET /books/b?published=1970-01-01T00:00:01Z", '200 {"book_id":"b","published":"1970-01-01T00:00:01Z"}'],
    ["GET /books/b?price=x&published=soon", "400 price, published"],
    ["GET /books/b?price=9007199254740993", "400 price"],
    ["POST /books", "400 price", json('{"price":9007199254740993}')],
    ["GET /books/b?labels=x&sequels=x&author=x", "400 labels, sequels, author"],
  ],
  "trailing slash, //: 404": [
    ["GET /books/b/", "404 NO_ROUTE"],
    ["POST /books/", "404 NO_ROUTE"],
    ["GET //books/b", "404 NO_ROUTE"],
    ["GET /books//b", "404 NO_ROUTE"],
    ["GET /books/", "404 NO_ROUTE"],
    ["GET //", "404 NO_ROUTE"],
    ["GET /files/a//b", "404 NO_ROUTE"],
    ["GET /files/", "404 NO_ROUTE"],
  ],
  ". and .. segments: 400": [
    ["GET /books/.", "400 DOT_SEGMENT"],
    ["GET /books/%2e%2E", "400 DOT_SEGMENT"],
    ["GET /../books/b", "400 DOT_SEGMENT"],
    ["GET /books/...", '200 {"book_id":"..."}'],
  ],
  "content type absent: read as JSON; another type 415; charset other than UTF-8 415": [
    ["POST /books", '200 {"name":"n"}', { body: '{"name":"n"}' }],
    ...[
      "application/json",
      "Application/JSON ; charset=UTF-8",
      'application/json; charset="utf-8"',
      "application/x+json",
    ].map((type): Row => ["POST /books", "200 {}", { body: "{}", headers: { "content-type": type } }]),
    ...["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "json", ""].map(
      (type): Row => ["POST /books", "415 UNSUPPORTED_MEDIA_TYPE", { body: "{}", headers: { "content-type": type } }],
    ),
    ["POST /books", "415 UNSUPPORTED_MEDIA_TYPE", { body: "{}", headers: { "content-encoding": "gzip" } }],
  ],
  "Accept without JSON: 406": [
    ...[
      "*/*",
      "application/json",
      "application/*;q=0.1",
      "text/html, application/json;q=0.5",
      "",
      "application/problem+json",
    ].map((accept): Row => ["POST /books", "200 {}", { headers: { accept } }]),
    ...[
      "text/html",
      "application/json;q=0",
      "*/*, application/json;q=0.0",
      "application/x-ndjson",
      "application/jsonx",
    ].map((accept): Row => ["POST /books", "406 NOT_ACCEPTABLE", { headers: { accept } }]),
  ],
};

for (const [name, rows] of Object.entries(cases)) {
  describe(name, () => {
    test.each(rows.map(([request, expected, sent]) => ({ request, expected, sent })))(
      "$request: $expected",
      async (row) => {
        expect(await outcome(row.request, row.sent)).toBe(row.expected);
      },
    );
  });
}

describe("refuse to start, naming file, method and rule", () => {
  const additional = { additionalBindings: [rule("GET /b", "", { additionalBindings: [rule("GET /c")] })] };
  test.each<readonly [string, readonly HttpRule[], string]>([
    ["** not last", [rule("GET /a/**/b")], "** before its end"],
    ["** not last, in a variable", [rule("GET /a/{name=**}/b")], "** before its end"],
    ["nested variables", [rule("GET /a/{name=b/{book_id}}")], "variable in a variable"],
    ["a template that ends in :", [rule("GET /a:")], "bad verb"],
    ["a template without /", [rule("GET a")], "must start with /"],
    ["an empty segment", [rule("GET /a//b")], "bad segment"],
    ["bad encoding in a template", [rule("GET /a%zz")], "percent-encoding"],
    ["a .. segment in a template", [rule("GET /a/../b")], ".. segment"],
    ["the same variable twice", [rule("GET /{name}/{name}")], "twice"],
    ["two variables of one oneof", [rule("GET /{author.mail}/{author.phone}")], "oneof"],
    ["an unknown path variable", [rule("GET /a/{nope}")], "no field nope"],
    ["the camelCase name of a field", [rule("GET /a/{bookId}")], "no field bookId"],
    ["a repeated path variable", [rule("GET /a/{tags}")], "not a single value"],
    ["a map as path variable", [rule("GET /a/{labels}")], "not a single value"],
    ["a message as path variable", [rule("GET /a/{author}")], "not a single value"],
    ["an unknown body", [rule("POST /a", "nope")], "no field nope"],
    ["a body that is not top-level", [rule("POST /a", "author.mail")], "no field author.mail"],
    ["a response_body that is not top-level", [rule("GET /a", "", { responseBody: "author.mail" })], "author.mail"],
    ["a body that the path binds too", [rule("POST /a/{name}", "name")], "both the body and a path variable"],
    ["additional bindings in additional bindings", [rule("GET /a", "", additional)], "additional_bindings"],
    ["no method", [rule(" /a")], "HTTP method"],
    ["a duplicate", [rule("GET /a/{name}"), rule("GET /a/{book_id}")], "two methods answer the same"],
    ["a duplicate in another spelling", [rule("GET /a/{name=*}"), rule("GET /a/*")], "two methods answer the same"],
    ["a duplicate verb", [rule("GET /{name=a/**}:b"), rule("GET /a/**:b")], "two methods answer the same"],
    ["a duplicate custom kind", [rule("GET /a"), rule("GET /b", "", { additionalBindings: [rule("GET /a")] })], "same"],
    ["** behind all its paths", [rule("GET /a/**"), rule("GET /a"), rule("GET /a/*/**")], "never be reached"],
    [
      "** behind them one by one",
      [rule("GET /a/**"), rule("GET /a"), rule("GET /a/*"), rule("GET /a/*/*/**")],
      "never",
    ],
    ["** behind any method", [rule("GET /a/**"), rule("* /a"), rule("* /a/*/**")], "never be reached"],
    ["HEAD behind GET", [rule("HEAD /a/**"), rule("GET /a"), rule("GET /a/*/**")], "never be reached"],
  ])("%s", (_name, rules, reason) => {
    const start = () => transcoderOf(rules);
    expect(start).toThrow(reason);
    expect(start).toThrow(/library\.proto: test\.Library\.M\d: \S* \S/);
  });

  test.each([
    ["a method that takes a stream", { clientStreaming: true }],
    ["one that takes and gives streams", { clientStreaming: true, serverStreaming: true }],
  ])("%s", (_name, kind) => {
    const services = [libraryOf([rule("POST /a", "*")], kind)];
    expect(() => transcoderOf([], { services })).toThrow(/library\.proto: test\.Library\.M0: POST \/a: .* stream/);
  });

  test.each<readonly [string, readonly HttpRule[]]>([
    ["a literal beside a variable", [rule("GET /users/me"), rule("GET /users/{name}")]],
    ["a verb beside none", [rule("GET /a/{name}"), rule("GET /a/{name}:b")]],
    ["** beside what leaves it a path", [rule("GET /a/**"), rule("GET /a/*/**")]],
    ["** beside one method", [rule("* /a/**"), rule("GET /a"), rule("GET /a/*/**")]],
    ["a field of the body in the path", [rule("PATCH /{author.full_name}", "author")]],
    ["GET with a body", [rule("GET /a", "*")]],
  ])("but not on %s", (_name, rules) => {
    expect(transcoderOf(rules).routes.map(describeRoute)).toHaveLength(rules.length);
  });
});
