// Both documents against validators that others keep.
import { Parser } from "@asyncapi/parser";
import { asyncapi, internalOpenapi, openapi } from "@im-gateway/proto/documents";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, test } from "vitest";

test.each([
  ["/openapi.json", openapi],
  ["the internal port's", internalOpenapi],
])("%s is OpenAPI 3.1", async (_name, document) => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document));
  expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
  expect(validator.version).toBe("3.1");
});

test("/asyncapi.json is AsyncAPI 3", async () => {
  const { document, diagnostics } = await new Parser().parse(JSON.stringify(asyncapi));
  expect(diagnostics.filter(({ severity }) => severity <= 1)).toEqual([]);
  expect(document?.version()).toBe("3.0.0");
});
