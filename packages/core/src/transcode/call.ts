// A request that is bound and checked, and what its answer shows.
import type { JsonValue, Message, Registry } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { writeAnswer, writeMessage } from "../json/write.ts";
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
export function shownAnswer({ method, responseField }: Route, message: Message, types?: Registry): JsonValue {
  return responseField === undefined
    ? writeAnswer(method.output, message, types)
    : (writeMessage(method.output, message, types)[responseField.name] ?? null);
}
