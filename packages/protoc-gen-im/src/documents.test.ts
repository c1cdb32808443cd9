// Both documents against validators that others keep, their examples against their schemas, and the links of the reference pages.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Parser } from "@asyncapi/parser";
import type { JsonObject } from "@bufbuild/protobuf";
import { asyncapi, internalOpenapi, openapi } from "@im-gateway/proto/documents";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";

const openapis: readonly (readonly [string, JsonObject])[] = [
  ["/openapi.json", openapi],
  ["the internal port's", internalOpenapi],
];

describe("validators", () => {
  test.each(openapis)("%s is OpenAPI 3.1", async (_name, document) => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(document));
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
    expect(validator.version).toBe("3.1");
  });

  test("they refuse what is wrong", async () => {
    const noResponses = JSON.parse(JSON.stringify(openapi).replaceAll('"responses":{', '"answers":{'));
    expect((await new Validator().validate(noResponses)).valid).toBe(false);
    const noAction = JSON.stringify(asyncapi).replaceAll('"action":', '"does":');
    const { diagnostics } = await new Parser().parse(noAction);
    expect(diagnostics.filter(({ severity }) => severity === 0).length).toBeGreaterThan(0);
  });

  test("/asyncapi.json is AsyncAPI 3", async () => {
    const { document, diagnostics } = await new Parser().parse(JSON.stringify(asyncapi));
    expect(diagnostics.filter(({ severity }) => severity <= 1)).toEqual([]);
    expect(document?.version()).toBe("3.0.0");
  });
});

describe("examples", () => {
  test.each([...openapis, ["/asyncapi.json", asyncapi] as const])("all of %s fit their schemas", (_name, document) => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false }).addSchema(document, "document");
    const found = examplesOf("document#", document);
    expect(found.length).toBeGreaterThan(10);
    for (const { at, example } of found) {
      const validate = ajv.getSchema(at);
      validate?.(example);
      expect(validate?.errors ?? [], `${at}: ${JSON.stringify(example)}`).toEqual([]);
    }
  });
});

interface Example {
  /** Of its schema. */
  readonly at: string;
  readonly example: unknown;
}

/** What stands beside a schema (OpenAPI), or as payload beside the schema of payloads (AsyncAPI). */
function examplesOf(at: string, value: unknown): readonly Example[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const here: Example[] =
    "example" in value && "schema" in value ? [{ at: `${at}/schema`, example: value.example }] : [];
  const payloads: readonly Example[] =
    "examples" in value && Array.isArray(value.examples)
      ? value.examples.map(({ payload }) => ({ at: `${at}/payload`, example: payload }))
      : [];
  const inner = Object.entries(value).flatMap(([key, found]) =>
    examplesOf(`${at}/${encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))}`, found),
  );
  return [...here, ...payloads, ...inner];
}

test("every link of the reference pages leads somewhere", () => {
  const folder = join(import.meta.dirname, "../../../docs/protocol");
  for (const name of readdirSync(folder)) {
    const page = readFileSync(join(folder, name), "utf8");
    const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\s-]/g, "")
        .replaceAll(" ", "-"),
    );
    for (const [, anchor = ""] of page.matchAll(/\]\(#([^)]+)\)/g)) {
      expect(
        headings.filter((heading) => heading === anchor),
        `${name} #${anchor}`,
      ).toHaveLength(1);
    }
  }
});
