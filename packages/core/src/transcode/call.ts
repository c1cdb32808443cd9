// A request that is bound and checked, and what its answer shows.
import type { JsonValue, Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { writeMessage } from "../json/write.ts";
import type { Route } from "./routes.ts";
import type { StreamType } from "./stream-body.ts";

export interface BoundCall {
  readonly route: Route;
  /** Of the answer. */
  readonly type: "application/json" | StreamType;
  readonly message: Message;
  /** What was thrown, with its field violations as the client spelled the fields. */
  readonly spelled: (thrown: unknown) => ConnectError;
}

/** The body of an answer: the message, or the one field of it that the rule names. */
export function shownAnswer({ method, responseField }: Route, message: Message): JsonValue {
  const body = writeMessage(method.output, message);
  return responseField === undefined ? body : (body[responseField.name] ?? null);
}
