// One attempt of a unary call on one peer.
import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import type { UnaryResponse } from "@connectrpc/connect";
import type { Metadata, ServiceError } from "@grpc/grpc-js";
import type { CallEnd } from "./call-end.ts";
import { codecOf } from "./codec.ts";
import { appendMetadata } from "./metadata.ts";
import type { Peer } from "./peer.ts";
import { type CallFailure, callFailure } from "./status.ts";

export type UnaryOutcome<I extends DescMessage, O extends DescMessage> =
  | { readonly kind: "answered"; readonly response: UnaryResponse<I, O> }
  | { readonly kind: "failed"; readonly failure: CallFailure };

/** Rejects with the reason of `end`, or when the peer was closed before the call began. */
export function callUnary<I extends DescMessage, O extends DescMessage>(
  peer: Peer,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  metadata: Metadata,
  end: CallEnd,
): Promise<UnaryOutcome<I, O>> {
  return new Promise((resolve, reject) => {
    const { path, serialize, deserialize } = codecOf(method);
    const header = new Headers();
    let failed: ServiceError | null = null;
    let message: MessageShape<O> | undefined;
    let heard = false;
    const call = peer.start((client) =>
      client.makeUnaryRequest<MessageShape<I>, MessageShape<O>>(
        path,
        serialize,
        deserialize,
        request,
        metadata,
        { deadline: end.deadlineMs },
        (error, value) => {
          failed = error;
          message = value;
        },
      ),
    );
    const onEnd = (): void => {
      reject(end.signal.reason);
      call.cancel();
    };
    if (end.signal.aborted) onEnd();
    else end.signal.addEventListener("abort", onEnd, { once: true });
    call.on("metadata", (received) => {
      heard = true;
      appendMetadata(header, received);
    });
    // Emitted for every call, right after the callback.
    call.on("status", (status) => {
      end.signal.removeEventListener("abort", onEnd);
      peer.ended(call);
      if (message === undefined) {
        resolve({ kind: "failed", failure: callFailure(failed ?? status, heard) });
        return;
      }
      const trailer = appendMetadata(new Headers(), status.metadata);
      resolve({
        kind: "answered",
        response: { stream: false, service: method.parent, method, header, trailer, message },
      });
    });
  });
}
