// How requests fail: one body for all, and the statuses that an operation may have.
import type { JsonObject } from "@bufbuild/protobuf";
import type { Operation } from "../contract/operations.ts";

export const errorSchema: JsonObject = {
  type: "object",
  description: "The body of every answer that is not a success.",
  properties: {
    code: {
      type: "string",
      description: "What programs go by. Worth a retry: aborted, deadline_exceeded, resource_exhausted, unavailable.",
      enum: [
        "aborted",
        "already_exists",
        "canceled",
        "data_loss",
        "deadline_exceeded",
        "failed_precondition",
        "internal",
        "invalid_argument",
        "not_found",
        "out_of_range",
        "permission_denied",
        "resource_exhausted",
        "unauthenticated",
        "unavailable",
        "unimplemented",
        "unknown",
      ],
    },
    message: { type: "string", description: "For people." },
    details: {
      type: "array",
      description:
        "google.rpc details: ErrorInfo with the `reason`, BadRequest with a violation for each bad field, RetryInfo with the time to wait.",
      items: {
        type: "object",
        properties: { "@type": { type: "string" } },
        required: ["@type"],
        additionalProperties: true,
      },
    },
    trace_id: { type: "string", description: "Finds the request in the logs." },
  },
  required: ["code", "message", "details", "trace_id"],
};

interface Failure {
  readonly name: string;
  readonly description: string;
  readonly code: string;
  readonly message: string;
  readonly reason: string;
  readonly headers?: JsonObject;
}

const retryAfter: JsonObject = {
  "Retry-After": { description: "Seconds to wait, where it is known.", schema: { type: "integer", minimum: 0 } },
};

const failures: Readonly<Record<number, Failure>> = {
  400: {
    name: "BadRequest",
    description: "A field is missing, unknown or against its rule; the details name each.",
    code: "invalid_argument",
    message: "content: is required",
    reason: "INVALID_FIELD",
  },
  401: {
    name: "Unauthenticated",
    description: "No token, or one that is bad, expired or revoked.",
    code: "unauthenticated",
    message: "a valid access token is needed",
    reason: "TOKEN_INVALID",
    headers: { "WWW-Authenticate": { schema: { type: "string" } } },
  },
  403: {
    name: "PermissionDenied",
    description: "Not for this caller.",
    code: "permission_denied",
    message: "only an admin or the owner may do this",
    reason: "NOT_ALLOWED",
  },
  404: {
    name: "NotFound",
    description: "There is no such thing, or none that the caller may see.",
    code: "not_found",
    message: "no such group",
    reason: "NOT_FOUND",
  },
  405: {
    name: "MethodNotAllowed",
    description: "The path has other methods; `Allow` names them.",
    code: "unimplemented",
    message: "this path answers GET, HEAD, OPTIONS",
    reason: "METHOD_NOT_ALLOWED",
    headers: { Allow: { schema: { type: "string" } } },
  },
  406: {
    name: "NotAcceptable",
    description: "`Accept` excludes what this answers with.",
    code: "invalid_argument",
    message: "the answer is application/json, which Accept excludes",
    reason: "NOT_ACCEPTABLE",
  },
  409: {
    name: "Conflict",
    description: "It exists already, or something else changed it meanwhile.",
    code: "already_exists",
    message: "the name is taken",
    reason: "ALREADY_EXISTS",
  },
  413: {
    name: "BodyTooLarge",
    description: "The body is larger than `server.max_body_bytes`.",
    code: "resource_exhausted",
    message: "the body is larger than 1048576 bytes",
    reason: "BODY_TOO_LARGE",
  },
  415: {
    name: "UnsupportedMediaType",
    description: "The body is not JSON in UTF-8.",
    code: "invalid_argument",
    message: "the body must be application/json in UTF-8, not compressed",
    reason: "UNSUPPORTED_MEDIA_TYPE",
  },
  429: {
    name: "TooManyRequests",
    description: "Over a limit; worth a retry after a while.",
    code: "resource_exhausted",
    message: "too many requests",
    reason: "RATE_LIMITED",
    headers: retryAfter,
  },
  503: {
    name: "Unavailable",
    description: "A part behind the gateway is away; worth a retry.",
    code: "unavailable",
    message: "im-logic can not be reached",
    reason: "UNAVAILABLE",
    headers: retryAfter,
  },
  504: {
    name: "DeadlineExceeded",
    description: "A part behind the gateway did not answer in time; worth a retry.",
    code: "deadline_exceeded",
    message: "im-logic did not answer in time",
    reason: "DEADLINE_EXCEEDED",
  },
};

export const errorResponses: JsonObject = {
  ...Object.fromEntries(Object.values(failures).map((failure) => [failure.name, response(failure)])),
  Error: {
    description: "Any other failure.",
    content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
  },
};

/** The statuses that an operation may have besides that of success. */
export function errorsOf({ auth, body, method }: Operation): JsonObject {
  const takes = method.input.fields.length > 0;
  const statuses = [
    ...(takes ? [400] : []),
    ...(auth === "public" ? [] : [401, 403]),
    ...(takes ? [404] : []),
    406,
    ...(body === undefined ? [] : [409, 413, 415]),
    429,
    503,
    504,
  ];
  const named = statuses.map((status): [string, JsonObject] => [
    String(status),
    reference(failures[status]?.name ?? ""),
  ]);
  return { ...Object.fromEntries(named), default: reference("Error") };
}

export function reference(name: string): JsonObject {
  return { $ref: `#/components/responses/${name}` };
}

function response({ description, headers, code, message, reason }: Failure): JsonObject {
  const details = [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "im-gateway", metadata: {} }];
  return {
    description,
    ...(headers === undefined ? {} : { headers }),
    content: {
      "application/json": {
        schema: { $ref: "#/components/schemas/Error" },
        example: { code, message, details, trace_id: "4bf92f3577b34da6a3ce929d0e0e4736" },
      },
    },
  };
}
