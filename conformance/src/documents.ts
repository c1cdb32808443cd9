// Both documents read as plain JSON: operations, their examples, and whether what comes is what the documents say.
import { asyncapi, internalOpenapi, openapi } from "@im-gateway/proto/documents";
import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "vitest";
import { asRecord, asRecords } from "./client.ts";
import { keepSecret } from "./output.ts";

/** The OpenAPI documents: what clients call, and what back ends call on the internal port. */
export const openapiDocuments = { openapi, "internal-openapi": internalOpenapi } as const;
export type OpenapiDocument = keyof typeof openapiDocuments;

export interface Operation {
  /** Whose it is. */
  readonly document: OpenapiDocument;
  readonly id: string;
  readonly verb: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  /** The example of the body; undefined where there is none. */
  readonly body: unknown;
  readonly needsToken: boolean;
  readonly status: number;
  /** The content types of success. */
  readonly answerTypes: readonly string[];
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly example: unknown;
}

export interface Caller {
  readonly token: string;
  /** Texts of the examples, and what stands for them in this world. */
  readonly replace: ReadonlyMap<string, string>;
}

export function operationsOf(document: OpenapiDocument): readonly Operation[] {
  return Object.entries(asRecord(openapiDocuments[document].paths)).flatMap(([path, verbs]) =>
    Object.entries(asRecord(verbs)).map(([verb, found]) => operation(document, path, verb, asRecord(found))),
  );
}

function operation(
  document: OpenapiDocument,
  path: string,
  verb: string,
  found: Readonly<Record<string, unknown>>,
): Operation {
  const [status = "", success] = Object.entries(asRecord(found.responses)).find(([key]) => key.startsWith("2")) ?? [];
  const body = found.requestBody === undefined ? undefined : asRecord(asRecord(found.requestBody).content);
  return {
    document,
    id: String(found.operationId),
    verb: verb.toUpperCase(),
    path,
    parameters: asRecords(found.parameters ?? []).map((one) => ({
      name: String(one.name),
      in: String(one.in),
      example: one.example,
    })),
    body: body === undefined ? undefined : asRecord(body["application/json"]).example,
    needsToken: Object.hasOwn(asRecords(found.security)[0] ?? {}, "accessToken"),
    status: Number(status),
    answerTypes: Object.keys(asRecord(asRecord(success).content)),
  };
}

/** Sends the example, and holds the answer to the status, the type and the schema that the document has for it. */
export async function answersAsDocumented(
  operation: Operation,
  accept: string,
  base: string,
  { token, replace }: Caller,
): Promise<void> {
  keepSecret("a token", token);
  const answer = await fetch(base + urlOf(operation, replace), {
    method: operation.verb,
    headers: {
      accept,
      ...(operation.needsToken ? { authorization: `Bearer ${token}` } : {}),
      ...(operation.body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(operation.body === undefined ? {} : { body: JSON.stringify(replaced(operation.body, replace)) }),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await answer.text();
  expect([answer.status, text.slice(0, 500)]).toEqual([operation.status, expect.anything()]);
  expect(answer.headers.get("content-type")?.split(";")[0]).toBe(accept);
  const at = [
    "paths",
    operation.path,
    operation.verb.toLowerCase(),
    "responses",
    String(operation.status),
    "content",
    accept,
  ];
  const schema = `${at.map((key) => `/${pointer(key)}`).join("")}/schema`;
  switch (accept) {
    case "application/json":
      return validates(schema, JSON.parse(text), operation.document);
    case "application/x-ndjson": {
      const lines = text.split("\n").filter((line) => line !== "");
      expect(lines.length).toBeGreaterThan(0);
      return lines.forEach((line) => {
        validates(schema, JSON.parse(line), operation.document);
      });
    }
    case "text/event-stream":
      expect(text).toMatch(/^data: ?\{.*\n\n(?:.*\n)*event: end\n/m);
      return;
    default:
      return validates(schema, text, operation.document);
  }
}

/** @param at a JSON pointer to a schema in the document; default: /openapi.json */
export function validates(at: string, value: unknown, document: OpenapiDocument = "openapi"): void {
  fits(`${document}#${encodeURI(at)}`, value);
}

/** @param at a JSON pointer to a schema in /asyncapi.json */
export function fitsAsyncapi(at: string, value: unknown): void {
  fits(`asyncapi#${encodeURI(at)}`, value);
}

function fits(schema: string, value: unknown): void {
  const validate = ajv.getSchema(schema);
  if (validate === undefined) {
    throw new Error(`the document has no schema at ${schema}`);
  }
  validate(value);
  expect(validate.errors ?? [], JSON.stringify(value)).toEqual([]);
}

function urlOf({ path, parameters }: Operation, replace: ReadonlyMap<string, string>): string {
  const query: string[] = [];
  let url = path;
  for (const { name, in: place, example } of parameters) {
    for (const value of example === undefined ? [] : [example].flat()) {
      const text = encodeURIComponent(String(replaced(value, replace)));
      if (place === "path") {
        url = url.replace(`{${name}}`, text);
      } else {
        query.push(`${encodeURIComponent(name)}=${text}`);
      }
    }
  }
  return query.length === 0 ? url : `${url}?${query.join("&")}`;
}

function replaced(value: unknown, replace: ReadonlyMap<string, string>): unknown {
  if (typeof value === "string") {
    return replace.get(value) ?? value;
  }
  if (Array.isArray(value)) {
    return value.map((item) => replaced(item, replace));
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [replace.get(key) ?? key, replaced(item, replace)]),
    );
  }
  return value;
}

function pointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** What is written must be in the document: an answer with a field that it does not have is wrong here, though clients let it pass. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) {
    return schema.map(closed);
  }
  if (typeof schema !== "object" || schema === null) {
    return schema;
  }
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return { ...("properties" in schema && "type" in schema ? { additionalProperties: false } : {}), ...inner };
}

const ajv = new Ajv2020({ strict: false, validateFormats: false });
for (const [name, document] of Object.entries(openapiDocuments)) {
  ajv.addSchema(asRecord(closed(document)), name);
}
ajv.addSchema(asRecord(closed(asyncapi)), "asyncapi");
