// One attempt of a server-streaming call on one peer, with the flow control of HTTP/2: what nobody asks for stays at the peer.
import type { DescMessage, DescMethodServerStreaming, MessageShape } from "@bufbuild/protobuf";
import { type Metadata, type StatusObject, status as statusCode } from "@grpc/grpc-js";
import { codecOf } from "./codec.ts";
import { appendMetadata } from "./metadata.ts";
import type { Peer } from "./peer.ts";
import { type CallFailure, callFailure, canceled, deadlineExceeded } from "./status.ts";

export type StreamStep<T> =
  | { readonly kind: "message"; readonly message: T }
  | { readonly kind: "end" }
  | { readonly kind: "failed"; readonly failure: CallFailure };

export interface ServerStream<T> {
  /** Filled when the first message is there. */
  readonly header: Headers;
  /** Filled at the end. */
  readonly trailer: Headers;
  /** @param waitMs rejects with `deadline_exceeded` after so long without a message, and ends the call; rejects with `canceled` when the signal aborts */
  next(waitMs: number): Promise<StreamStep<T>>;
  /** Ends the call at the peer. */
  cancel(): void;
}

/** @throws ConnectError unavailable when the peer was closed before the call began */
export function callServerStream<I extends DescMessage, O extends DescMessage>(
  peer: Peer,
  method: DescMethodServerStreaming<I, O>,
  request: MessageShape<I>,
  metadata: Metadata,
  signal: AbortSignal | undefined,
): ServerStream<MessageShape<O>> {
  const { path, serialize, deserialize } = codecOf(method);
  const header = new Headers();
  const trailer = new Headers();
  let ended: StatusObject | undefined;
  let heard = false;
  // What `next` waits for.
  let wake = (): void => {};
  // Without a deadline: that of a call is for an answer, and this one may be long.
  const call = peer.start((client) =>
    client.makeServerStreamRequest<MessageShape<I>, MessageShape<O>>(path, serialize, deserialize, request, metadata),
  );
  const cancel = (): void => call.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  call.on("metadata", (received) => {
    heard = true;
    appendMetadata(header, received);
  });
  call.on("readable", () => wake());
  // The status says the same, and comes for every call.
  call.on("error", () => wake());
  call.on("status", (status) => {
    signal?.removeEventListener("abort", cancel);
    appendMetadata(trailer, status.metadata);
    ended = status;
    peer.ended(call);
    wake();
  });

  /** What is there now. */
  const look = (): StreamStep<MessageShape<O>> | undefined => {
    if (signal?.aborted) {
      throw canceled(signal.reason);
    }
    const message: MessageShape<O> | null = call.read();
    if (message !== null) {
      return { kind: "message", message };
    }
    if (ended === undefined) {
      return undefined;
    }
    return ended.code === statusCode.OK ? { kind: "end" } : { kind: "failed", failure: callFailure(ended, heard) };
  };

  const wait = (waitMs: number): Promise<StreamStep<MessageShape<O>>> =>
    new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", woken);
        wake = () => {};
      };
      const timer = setTimeout(() => {
        done();
        call.cancel();
        reject(deadlineExceeded());
      }, waitMs);
      const woken = (): void => {
        try {
          const found = look();
          if (found === undefined) return;
          resolve(found);
        } catch (thrown) {
          reject(thrown);
        }
        done();
      };
      wake = woken;
      signal?.addEventListener("abort", woken, { once: true });
    });

  return {
    header,
    trailer,
    cancel,
    async next(waitMs) {
      return look() ?? (await wait(waitMs));
    },
  };
}
