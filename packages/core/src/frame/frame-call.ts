// Frames that call a unary method: `call` names it, others have it in their option (im.options.v1.frame_method).
import { type DescMessage, getOption, type JsonObject } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type ClientFrame, ClientFrameSchema, options } from "@im-gateway/proto";
import { failure, invalidFields } from "../errors.ts";
import type { JsonTree } from "../json/text.ts";
import { writeMessage } from "../json/write.ts";
import type { Method } from "../methods.ts";
import type { ServerFrameData } from "./codec.ts";

export interface FrameCall {
  /** `package.Service/Method`. */
  readonly method: string;
  readonly request: JsonTree;
  readonly timeoutMs: number | undefined;
  readonly toAnswer: (response: JsonObject) => ServerFrameData;
}

/**
 * Frames that call a method find one that takes what they bring.
 * @param methods those of services that are not among them may be missing: a gateway need not serve them all
 * @throws ConnectError internal, naming the frame
 */
export function checkFrameCalls(clientFrame: DescMessage, methods: ReadonlyMap<string, Method>): void {
  const services = new Set([...methods.keys()].map(serviceOf));
  for (const field of clientFrame.fields) {
    const name = getOption(field, options.frame_method);
    if (name === "" || !services.has(serviceOf(name))) {
      continue;
    }
    const refuse = (reason: string): Error =>
      failure(
        Code.Internal,
        "BAD_FRAME_METHOD",
        `${clientFrame.file.name}.proto: ${clientFrame.name}.${field.name}: ${name} ${reason}`,
      );
    const method = methods.get(name);
    if (method === undefined) {
      throw refuse("is no method");
    }
    if (method.desc.methodKind !== "unary") {
      throw refuse("is not unary");
    }
    const taken = new Set(method.desc.input.fields.map((each) => each.name));
    const stray = field.message?.fields.find((each) => !taken.has(each.name));
    if (stray !== undefined) {
      throw refuse(`takes no ${stray.name}`);
    }
  }
}

function serviceOf(method: string): string {
  return method.slice(0, method.lastIndexOf("/"));
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
