// kafkajs' errors → ours.
import { Code, ConnectError } from "@connectrpc/connect";
import { codeName, failure, reasonOf } from "@im-gateway/core";

/** Kafka's name for what went wrong (`MESSAGE_TOO_LARGE`); kafkajs' own for what it found itself. Looks through kafkajs' wrappers. */
export function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  // `KafkaJSNumberOfRetriesExceeded`, `KafkaJSNonRetriableError` and `KafkaJSAggregateError` do not tell what they wrap.
  if (error.cause instanceof Error) return kindOf(error.cause);
  if ("errors" in error && Array.isArray(error.errors) && error.errors.length > 0) return kindOf(error.errors[0]);
  return "type" in error && typeof error.type === "string" ? error.type : error.name;
}

/** When to try again what Kafka could not take now. */
export const retryAfterMs = 1000;

/** Why Kafka did not store records. */
export function sendFailure(error: unknown): ConnectError {
  switch (kindOf(error)) {
    case "MESSAGE_TOO_LARGE":
      return tooLarge(error);
    case "UNKNOWN_TOPIC_OR_PARTITION":
      return topicNotFound(error);
    default:
      return failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "the message could not be stored", {
        retryAfterMs,
        cause: error,
      });
  }
}

export function tooLarge(cause?: unknown): ConnectError {
  return failure(Code.InvalidArgument, "MESSAGE_TOO_LARGE", "the message is too large", { cause });
}

export function topicNotFound(cause?: unknown): ConnectError {
  return failure(Code.Unavailable, "TOPIC_NOT_FOUND", "the topic does not exist", { retryAfterMs, cause });
}

const permanentKinds: Readonly<Record<string, Code>> = {
  INVALID_TOPIC_EXCEPTION: Code.InvalidArgument,
  INVALID_PARTITIONS: Code.InvalidArgument,
  INVALID_CONFIG: Code.InvalidArgument,
  INVALID_GROUP_ID: Code.InvalidArgument,
  POLICY_VIOLATION: Code.FailedPrecondition,
  TOPIC_AUTHORIZATION_FAILED: Code.PermissionDenied,
  GROUP_AUTHORIZATION_FAILED: Code.PermissionDenied,
  CLUSTER_AUTHORIZATION_FAILED: Code.PermissionDenied,
  KafkaJSSASLAuthenticationError: Code.Unauthenticated,
};

/** What no waiting heals: a name that Kafka does not take, a right that is missing. `undefined` for all else. */
export function permanentFailure(error: unknown): ConnectError | undefined {
  const kind = kindOf(error);
  const code = permanentKinds[kind];
  return code === undefined ? undefined : failure(code, "KAFKA_REFUSED", `Kafka refuses: ${kind}`, { cause: error });
}

/** What kafkajs says, as a log line's fields. */
export function describeKafkaError(error: unknown): Record<string, unknown> {
  return { error: { code: kindOf(error), message: error instanceof Error ? error.message : String(error) } };
}

/** Any other error as a log line's fields: what and where, without its message, which may quote content. */
export function describeError(error: unknown): Record<string, unknown> {
  if (error instanceof ConnectError) return { error: { code: codeName(error.code), reason: reasonOf(error) } };
  const at = ((error instanceof Error && error.stack) || "").split("\n").filter((line) => /^\s+at /.test(line));
  const stack = at.slice(0, 3).map((line) => line.trim());
  return { error: { code: kindOf(error), stack: stack.join("\n") } };
}
