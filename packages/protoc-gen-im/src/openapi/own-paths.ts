// The gateway's own paths, which no .proto file has (CONTRACT §3).
import type { JsonObject } from "@bufbuild/protobuf";
import { reference } from "./errors.ts";

const string: JsonObject = { type: "string" };

export const ownPaths: Readonly<Record<string, JsonObject>> = {
  "/health": own("Gateway_Health", "Health", "Who answers; as long as it does, the process lives.", {
    200: json("It lives.", object({ status: string, gateway_id: string, instance: string, version: string }), {
      status: "ok",
      gateway_id: "gateway-1",
      instance: "0198c0de-7a11-7000-8000-0000000000ff",
      version: "0.1.0",
    }),
  }),
  "/ready": own("Gateway_Ready", "Ready", "Whether to send clients here.", {
    200: json("Ready.", readiness(), { ready: true, reasons: [] }),
    503: json("Not ready.", readiness(), {
      ready: false,
      reasons: ["kafka: the downstream topic is not being consumed"],
    }),
  }),
  "/openapi.json": own("Gateway_Openapi", "OpenAPI", "This document.", {
    200: json("OpenAPI 3.1.", { type: "object", additionalProperties: true }, { openapi: "3.1.0" }),
    304: { description: "As `If-None-Match` has it." },
  }),
  "/asyncapi.json": own("Gateway_Asyncapi", "AsyncAPI", "The frames of the WebSocket and the records on Kafka.", {
    200: json("AsyncAPI 3.", { type: "object", additionalProperties: true }, { asyncapi: "3.0.0" }),
    304: { description: "As `If-None-Match` has it." },
  }),
  "/docs": own("Gateway_Docs", "Docs", "Both documents as a page for people.", {
    200: { description: "The page.", content: { "text/html": { schema: { type: "string" } } } },
    304: { description: "As `If-None-Match` has it." },
  }),
};

function own(operationId: string, summary: string, description: string, responses: JsonObject): JsonObject {
  return {
    get: {
      operationId,
      tags: ["Gateway"],
      summary,
      description,
      responses: { ...responses, default: reference("Error") },
      security: [],
    },
  };
}

function json(description: string, schema: JsonObject, example: JsonObject): JsonObject {
  return { description, content: { "application/json": { schema, example } } };
}

function readiness(): JsonObject {
  return object({
    ready: { type: "boolean" },
    reasons: { type: "array", items: { type: "string" }, description: "Why it is not." },
  });
}

function object(properties: JsonObject): JsonObject {
  return { type: "object", properties, required: Object.keys(properties) };
}
