// The operations of an OpenAPI document, each a section.
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { codeBlock, escapeHtml, inline, jsonHtml, paragraphs, table } from "./html.ts";
import { object, objects, resolved, text } from "./json.ts";
import { fieldRow, fieldTable, linkedSchemas, schemaId } from "./schema.ts";
import type { Chapter, Section } from "./sections.ts";

export function restChapters(document: JsonObject): readonly Chapter[] {
  const operations = Object.entries(object(document.paths)).flatMap(([path, verbs]) =>
    Object.entries(object(verbs)).map(([verb, operation]) => ({ path, verb, operation: object(operation) })),
  );
  const tags = objects(document.tags).map((tag) => ({
    title: text(tag.name),
    intro: paragraphs(text(tag.description)),
    sections: operations
      .filter(({ operation }) => Array.isArray(operation.tags) && operation.tags.includes(tag.name ?? null))
      .map(({ path, verb, operation }) => operationSection(document, path, verb, operation)),
  }));
  return [
    ...tags,
    { title: "Schemas", intro: "<p>What the tables above link to.</p>", sections: schemaSections(document) },
  ];
}

function operationSection(document: JsonObject, path: string, verb: string, operation: JsonObject): Section {
  const responses = Object.entries(object(operation.responses));
  const [status = "", success] = responses.find(([code]) => code.startsWith("2")) ?? [];
  const failures = responses.filter(([code]) => /^[345]/.test(code));
  const answers = Object.entries(object(object(success).content));
  const body = object(object(object(operation.requestBody).content)["application/json"]);
  const answerTable = fieldTable(document, object(object(answers[0]?.[1]).schema), false);
  const facts = [
    securityWords(operation),
    operation["x-idempotent"] === true ? "safe to repeat" : "",
    operation["x-target"] === "upstream" ? "goes through Kafka" : "",
    operation["x-rate-class"] === undefined ? "" : `rate class ${text(operation["x-rate-class"])}`,
  ].filter(Boolean);
  return {
    id: text(operation.operationId),
    title: text(operation.summary),
    badge: verb.toUpperCase(),
    subtitle: path,
    words: [text(operation.description), text(operation["x-method"])].join(" "),
    prose: [
      `<p class="facts">${facts.map((fact) => `<span>${escapeHtml(fact)}</span>`).join("")}</p>`,
      paragraphs(text(operation.description)),
      parameterTable(operation, "path", "Path"),
      parameterTable(operation, "query", "Query"),
      part("Body", fieldTable(document, object(body.schema), true)),
      part(
        `Answer ${status}`,
        `${inline(text(object(success).description)) && `<p>${inline(text(object(success).description))}</p>`}${answerTable}`,
      ),
      failures.length === 0
        ? ""
        : `<details><summary>Failures</summary>${table(
            ["Status", "When"],
            failures.map(([code, found]) => [code, inline(text(resolved(document, found).description))]),
          )}</details>`,
    ].join(""),
    code: [
      codeBlock("Request", escapeHtml(curl(path, verb, operation, body.example))),
      ...answers.map(([type, answer]) => {
        const { example } = object(answer);
        const shown =
          example === undefined ? "" : typeof example === "string" ? escapeHtml(example.trimEnd()) : jsonHtml(example);
        return shown === ""
          ? ""
          : codeBlock(
              `${status} ${type}`,
              type === "application/x-ndjson" ? escapeHtml(JSON.stringify(example)) : shown,
            );
      }),
    ].join(""),
  };
}

function securityWords(operation: JsonObject): string {
  const schemes = objects(operation.security);
  if (schemes.length === 0) {
    return "public";
  }
  return schemes.some((scheme) => Object.keys(scheme).length === 0) ? "public, token read" : "access token";
}

function parameterTable(operation: JsonObject, place: string, title: string): string {
  const rows = objects(operation.parameters)
    .filter((parameter) => parameter.in === place)
    .map((parameter) =>
      fieldRow(
        text(parameter.name),
        { ...object(parameter.schema), description: text(parameter.description) },
        parameter.required === true && place !== "path",
      ),
    );
  return rows.length === 0 ? "" : part(title, table(["Parameter", "Type", "Meaning"], rows));
}

function part(title: string, content: string): string {
  return content === "" ? "" : `<h4>${title}</h4>${content}`;
}

function curl(path: string, verb: string, operation: JsonObject, body: JsonValue | undefined): string {
  const query: string[] = [];
  let url = path;
  for (const parameter of objects(operation.parameters)) {
    for (const value of parameter.example === undefined ? [] : [parameter.example].flat()) {
      const shown = encodeURIComponent(String(value));
      if (parameter.in === "path") {
        url = url.replace(`{${text(parameter.name)}}`, shown);
      } else {
        query.push(`${text(parameter.name)}=${shown}`);
      }
    }
  }
  const address = `http://localhost:8080${url}`;
  const needsToken = Object.keys(objects(operation.security)[0] ?? {}).length > 0;
  return [
    `curl ${verb === "get" ? "" : `-X ${verb.toUpperCase()} `}${query.length === 0 ? address : `'${address}?${query.join("&")}'`}`,
    ...(needsToken ? [`-H "Authorization: Bearer $TOKEN"`] : []),
    ...(body === undefined ? [] : ["-H 'Content-Type: application/json'", `-d '${JSON.stringify(body, null, 2)}'`]),
  ].join(" \\\n  ");
}

function schemaSections(document: JsonObject): readonly Section[] {
  return linkedSchemas(document).map(([name, schema]) => ({
    id: schemaId(name),
    title: name,
    badge: "",
    subtitle: "",
    words: text(schema.description),
    prose: `${paragraphs(text(schema.description))}${fieldTable(document, schema, schema.additionalProperties === false) || "<p>No fields.</p>"}`,
    code: "",
  }));
}
