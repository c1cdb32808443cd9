// Frames that call a unary method: `call` names it, others have it in their option (im.options.v1.frame_method).
import { getOption, type JsonObject } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type ClientFrame, ClientFrameSchema, options } from "@im-gateway/proto";
import { failure, invalidFields } from "../errors.ts";
import type { JsonTree } from "../json/text.ts";
import { writeMessage } from "../json/write.ts";
import type { ServerFrameData } from "./codec.ts";

export interface FrameCall {
  /** `package.Service/Method`. */
  readonly method: string;
  readonly request: JsonTree;
  readonly timeoutMs: number | undefined;
  readonly toAnswer: (response: JsonObject) => ServerFrameData;
}

/** @throws ConnectError unimplemented when nothing is behind the frame, invalid_argument when a call leaves no time */
export function frameCall(data: ClientFrame["data"]): FrameCall {
  if (data.case === "call") {
    const { method, request = {}, timeoutMs } = data.value;
    if (timeoutMs !== undefined && timeoutMs < 1) {
      throw invalidFields({ field: "timeout_ms", description: "must be at least 1" });
    }
    return { method, request, timeoutMs, toAnswer: (response) => ({ case: "reply", value: { response } }) };
  }
  const field = ClientFrameSchema.fields.find(({ localName }) => localName === data.case);
  const method = field === undefined ? "" : getOption(field, options.frame_method);
  if (data.value === undefined || field?.fieldKind !== "message" || method === "") {
    throw failure(Code.Unimplemented, "UNKNOWN_FRAME_TYPE", "nothing answers this frame");
  }
  return {
    method,
    request: writeMessage(field.message, data.value),
    timeoutMs: undefined,
    toAnswer: () => ({ case: "ack", value: {} }),
  };
}
