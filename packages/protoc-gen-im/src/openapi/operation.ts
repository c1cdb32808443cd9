// One operation of the OpenAPI document: parameters, body, answers, security.
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { commentOf, inWords } from "../contract/comment.ts";
import { exampleOf, exampleValue } from "../contract/examples.ts";
import { isRequired, type Schemas } from "../contract/json-schema.ts";
import type { NamedField, Operation } from "../contract/operations.ts";
import { errorsOf } from "./errors.ts";

export function openapiOperation(operation: Operation, schemas: Schemas): JsonObject {
  const { id, service, method, pathFields, queryFields } = operation;
  const description = commentOf(method);
  const parameters = [
    ...pathFields.map((field) => parameter(field, "path", schemas)),
    ...queryFields.map((field) => parameter(field, "query", schemas)),
  ];
  return {
    operationId: id,
    tags: [service.name.replace(/Service$/, "")],
    summary: inWords(method.name),
    ...(description === "" ? {} : { description }),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...requestBody(operation, schemas),
    responses: { [operation.successStatus]: success(operation, schemas), ...errorsOf(operation) },
    security: security(operation),
    "x-method": `${service.typeName}/${method.name}`,
    "x-target": operation.target,
    "x-rate-class": operation.rateClass,
    "x-idempotent": operation.idempotent,
  };
}

function parameter({ name, field }: NamedField, place: "path" | "query", schemas: Schemas): JsonObject {
  const { description, ...schema } = schemas.field(field, "client");
  const example = exampleValue(field, "client");
  // Of fields that exclude each other only one can be in the example.
  const shown = place === "path" || field.oneof === undefined || field.oneof.fields[0] === field;
  return {
    name,
    in: place,
    ...(description === undefined ? {} : { description }),
    required: place === "path" || isRequired(field),
    ...(field.fieldKind === "list" ? { style: "form", explode: true } : {}),
    schema,
    ...(example !== undefined && example !== "" && shown ? { example } : {}),
  };
}

function requestBody({ body }: Operation, schemas: Schemas): JsonObject {
  if (body === undefined) {
    return {};
  }
  const schema =
    body.kind === "message" ? schemas.messageWithout(body.message, body.without) : schemas.field(body.field, "client");
  const example =
    body.kind === "message"
      ? exampleOf(body.message, "client", body.without)
      : (exampleValue(body.field, "client") ?? null);
  const required =
    body.kind === "field" || body.message.fields.some((field) => !body.without.has(field.name) && isRequired(field));
  return { requestBody: { required, content: { "application/json": { schema, example } } } };
}

function success(operation: Operation, schemas: Schemas): JsonObject {
  const { method, responseField, streams } = operation;
  const schema =
    responseField === undefined ? schemas.message(method.output, "us") : schemas.field(responseField, "us");
  const example =
    responseField === undefined ? exampleOf(method.output, "us") : (exampleValue(responseField, "us") ?? null);
  if (streams) {
    const event = `data: ${JSON.stringify(example)}`;
    return {
      description:
        'A message a line, or an event each, by `Accept`; the proper end of events is the event `end`. An error after the first one is the last line, `{"error": …}`, or the event `error`.',
      content: {
        "application/x-ndjson": { schema, example },
        "text/event-stream": { schema: { type: "string" }, example: `${event}\n\nevent: end\ndata: {}\n\n` },
      },
    };
  }
  return {
    description: meanings[operation.successStatus] ?? "Done.",
    content: { "application/json": { schema, example } },
  };
}

const meanings: Readonly<Record<number, string>> = {
  200: "Done.",
  201: "Made.",
  202: "Accepted: it is stored, and will be carried out.",
};

function security({ auth, tokenIsRead }: Operation): JsonValue {
  switch (auth) {
    case "user":
      return [{ accessToken: [] }];
    case "service":
      return [{ internalToken: [] }];
    case "public":
      return tokenIsRead ? [{}, { accessToken: [] }] : [];
  }
}
