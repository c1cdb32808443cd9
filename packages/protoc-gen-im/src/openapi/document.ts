// OpenAPI 3.1 of REST routes.
import type { DescService, FileRegistry, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { commentOf } from "../contract/comment.ts";
import { createSchemas } from "../contract/json-schema.ts";
import { type Operation, operationsOf } from "../contract/operations.ts";
import { errorResponses, errorSchema } from "./errors.ts";
import { openapiOperation } from "./operation.ts";
import { ownPaths } from "./own-paths.ts";

const conventions = `JSON in UTF-8. Field names are snake_case (lowerCamelCase is read as well), ids are strings, 64-bit integers are JSON numbers up to 2^53, enums \
are numbers (their names are read as well), times are Unix seconds. Every field is written but messages that are not there; unknown fields and query parameters \
are refused. HEAD is answered where GET is, OPTIONS everywhere; another method is 405 with \`Allow\`.`;

/** What clients may call: everything that users reach, and the gateway's own paths. */
export function publicOpenapi(contract: FileRegistry): JsonObject {
  const operations = operationsOf(contract, ({ typeName }) => typeName.startsWith("im.logic."));
  return document(operations, {
    title: "im-gateway",
    description: `The REST routes of the gateway. The WebSocket \`/ws\` and Kafka are in \`/asyncapi.json\`.\n\n${conventions}`,
    paths: ownPaths,
    tags: [{ name: "Gateway", description: "The gateway itself." }],
    securitySchemes: {
      accessToken: {
        type: "http",
        scheme: "bearer",
        bearerFormat: "JWT",
        description: "The `access_token` of register, login, guest or refresh.",
      },
    },
  });
}

/** What back ends may call, on the internal port. */
export function internalOpenapi(contract: FileRegistry): JsonObject {
  const operations = operationsOf(contract, ({ typeName }) => typeName.startsWith("im.gateway."));
  return document(operations, {
    title: "im-gateway, internal port",
    description: `The door for back ends, on \`internal.addr\`: this gateway's own connections. Connect speaks the same services there.\n\n${conventions}`,
    paths: {},
    tags: [],
    securitySchemes: {
      internalToken: {
        type: "http",
        scheme: "bearer",
        description: "`internal.token`; needed where it is set, and it must be set beyond loopback.",
      },
    },
  });
}

interface Rest {
  readonly title: string;
  readonly description: string;
  readonly paths: Readonly<Record<string, JsonObject>>;
  readonly tags: readonly JsonObject[];
  readonly securitySchemes: JsonObject;
}

function document(operations: readonly Operation[], rest: Rest): JsonObject {
  const schemas = createSchemas(true);
  const paths: Record<string, JsonObject> = {};
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.verb]: openapiOperation(operation, schemas) };
  }
  const services = [...new Set(operations.map(({ service }) => service))];
  return {
    openapi: "3.1.0",
    info: {
      title: rest.title,
      version: "1",
      description: rest.description,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/", description: "Where this document came from." }],
    tags: [...services.map(tag), ...rest.tags],
    paths: { ...paths, ...rest.paths },
    components: {
      schemas: { ...sorted(schemas.components), Error: errorSchema },
      responses: errorResponses,
      securitySchemes: rest.securitySchemes,
    },
  };
}

function tag(service: DescService): JsonObject {
  const description = commentOf(service);
  return { name: service.name.replace(/Service$/, ""), ...(description === "" ? {} : { description }) };
}

function sorted(schemas: Readonly<Record<string, JsonValue>>): JsonObject {
  return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)));
}
