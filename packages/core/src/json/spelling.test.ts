// A checker names fields as the contract does, a client reads its own spelling.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, RetryInfoSchema } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { libraryOf, rule } from "../../test/library.ts";
import { failure, invalidFields } from "../errors.ts";
import { namedFields } from "./names.ts";
import { clientSpelling, inClientSpelling } from "./spelling.ts";
import type { JsonTree } from "./text.ts";

const [method] = libraryOf([rule("GET /a")]).methods;
const Book = method?.input ?? expect.unreachable("no method");

test.each<readonly [string, JsonTree | undefined, string]>([
  ["book_id", { bookId: "" }, "bookId"],
  ["book_id", { book_id: "" }, "book_id"],
  ["book_id", {}, "book_id"],
  ["book_id", undefined, "book_id"],
  ["author.full_name", { author: { fullName: "" } }, "author.fullName"],
  ["author.full_name", { author: null }, "author.full_name"],
  ["author.agent.full_name", { author: { agent: { fullName: 1 } } }, "author.agent.fullName"],
  ["sequels[1].book_id", { sequels: [{ book_id: "" }, { bookId: "" }] }, "sequels[1].bookId"],
  ["sequels[0].author.full_name", { sequels: [{ author: { fullName: "" } }] }, "sequels[0].author.fullName"],
  ["tags[3]", { tags: [] }, "tags[3]"],
  ['labels["a.b_c"]', { labels: { "a.b_c": "" } }, 'labels["a.b_c"]'],
  ["labels.a_b", { labels: { aB: "" } }, "labels.a_b"],
  ["nope.book_id", { nope: { bookId: "" } }, "nope.book_id"],
  ["author.nope_x.full_name", { author: {} }, "author.nope_x.full_name"],
  ["", { bookId: "" }, ""],
  ["book_id[", { bookId: "" }, "bookId["],
  ["__proto__.book_id", {}, "__proto__.book_id"],
])("%s in %j is %s", (path, json, expected) => {
  expect(clientSpelling(Book, json, path)).toBe(expected);
});

test("an error's violations, and its message where it is made of them; the rest stays", () => {
  const cause = new Error("why");
  const own = inClientSpelling(invalidFields({ field: "book_id", description: "is required" }), Book, { bookId: "" });
  expect(own.rawMessage).toBe("bookId: is required");
  const error = failure(Code.FailedPrecondition, "CLOSED", "the book_id is closed", {
    violations: [{ field: "book_id", description: "is closed" }],
    retryAfterMs: 1000,
    cause,
  });
  error.details.push({ type: "im.other.v1.Detail", value: Uint8Array.of(1) });
  const spelled = inClientSpelling(error, Book, { bookId: "" });
  expect([spelled.code, spelled.rawMessage, spelled.cause]).toEqual([error.code, error.rawMessage, cause]);
  expect(spelled.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([
    { field: "bookId", description: "is closed" },
  ]);
  expect(spelled.findDetails(RetryInfoSchema)).toHaveLength(1);
  expect(spelled.details).toContainEqual({ type: "im.other.v1.Detail", value: Uint8Array.of(1) });
});

test.each([
  ["nothing to translate", invalidFields({ field: "book_id", description: "is required" }), { book_id: "" }],
  ["no violations", new ConnectError("no", Code.NotFound), { bookId: "" }],
])("the error itself with %s", (_name, error, json) => {
  expect(inClientSpelling(error, Book, json)).toBe(error);
});

test("the fields that a client names", () => {
  expect(namedFields(Book, { bookId: "", tags: [], author: {}, name: null, nope: 1 })).toEqual(
    new Set(["book_id", "tags", "author"]),
  );
  expect(namedFields(Book, [])).toEqual(new Set());
});
