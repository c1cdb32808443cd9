// The REST routes as a Markdown page, from an OpenAPI document.
import type { JsonObject } from "@bufbuild/protobuf";
import { object, objects, resolved, text } from "../page/json.ts";
import { linkedSchemas } from "../page/schema.ts";
import { fieldRow, fieldTable, generatedNote, json, paragraph, table } from "./markdown.ts";

interface Operation {
  readonly path: string;
  readonly verb: string;
  readonly found: JsonObject;
}

export function restPage(title: string, document: JsonObject): string {
  const operations = Object.entries(object(document.paths)).flatMap(([path, verbs]) =>
    Object.entries(object(verbs)).map(
      ([verb, found]): Operation => ({ path, verb: verb.toUpperCase(), found: object(found) }),
    ),
  );
  const tags = objects(document.tags).map((tag) => {
    const own = operations.filter(({ found }) => Array.isArray(found.tags) && found.tags.includes(tag.name ?? null));
    return [
      // "User" alone would be the anchor of the message.
      `## ${text(tag.name)} routes\n\n`,
      paragraph(text(tag.description)),
      table(["route", "what", "auth", "answer"], own.map(routeRow)),
      ...own.map((operation) => operationPart(document, operation)),
    ].join("");
  });
  const schemas = linkedSchemas(document).map(
    ([name, schema]) => `### ${name}\n\n${paragraph(text(schema.description))}${fieldTable(document, schema, false)}`,
  );
  const failures = Object.values(object(object(document.components).responses))
    .map(object)
    .flatMap((response) => {
      const example = object(object(object(response.content)["application/json"]).example);
      return example.code === undefined ? [] : [[`\`${text(example.code)}\``, text(response.description)]];
    });
  return [
    generatedNote,
    `\n# ${title}\n\n`,
    paragraph(text(object(document.info).description)),
    "Fields with \\* must be there. `GET /openapi.json` has the same for programs, `GET /docs` for reading.\n\n",
    ...tags,
    ...(schemas.length === 0 ? [] : ["## Messages\n\n", ...schemas]),
    "## Failures\n\nThe body of each is an [Error](#error).\n\n",
    table(["code", "when"], failures),
  ]
    .join("")
    .trimEnd()
    .concat("\n");
}

function routeRow({ path, verb, found }: Operation): readonly string[] {
  const status = Object.keys(object(found.responses)).find((code) => code.startsWith("2")) ?? "";
  return [`\`${verb} ${path}\``, text(found.summary), authOf(found), status];
}

function authOf({ security }: JsonObject): string {
  const schemes = objects(security);
  if (schemes.length === 0) {
    return "public";
  }
  return schemes.some((scheme) => Object.keys(scheme).length === 0)
    ? "public, token read"
    : schemes.flatMap((scheme) => Object.keys(scheme)).includes("internalToken")
      ? "internal token"
      : "access token";
}

function operationPart(document: JsonObject, { path, verb, found }: Operation): string {
  const body = object(object(object(found.requestBody).content)["application/json"]);
  const success = object(Object.entries(object(found.responses)).find(([code]) => code.startsWith("2"))?.[1]);
  const answers = Object.entries(object(success.content));
  const answer = object(object(answers[0]?.[1]).schema);
  const parameters = objects(found.parameters).map((parameter) => [
    ...fieldRow(
      text(parameter.name),
      { ...object(parameter.schema), description: text(parameter.description) },
      parameter.required === true,
    ),
    text(parameter.in),
  ]);
  const fields = fieldTable(document, resolved(document, answer), false);
  const facts = [
    found["x-method"] === undefined ? "" : `\`${text(found["x-method"])}\``,
    found["x-idempotent"] === true ? "safe to repeat" : "",
    found["x-rate-class"] === undefined ? "" : `rate class ${text(found["x-rate-class"])}`,
    found["x-target"] === "upstream" ? "through Kafka" : "",
  ].filter(Boolean);
  return [
    `### ${verb} ${path}\n\n`,
    paragraph(text(found.description)),
    paragraph(facts.join(" · ")),
    table(["parameter", "type", "meaning", "in"], parameters),
    paragraph(fieldTable(document, object(body.schema), true) === "" ? "" : "Body:"),
    fieldTable(document, object(body.schema), true),
    body.example === undefined || Object.keys(object(body.example)).length === 0 ? "" : json(body.example),
    paragraph(fields === "" ? "" : answers.length > 1 ? `Answer: ${text(success.description)}` : "Answer:"),
    fields,
  ].join("");
}
