// Connect's Transport over @grpc/grpc-js: plaintext HTTP/2 to the endpoints of one service.
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodServerStreaming,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse, type Transport } from "@connectrpc/connect";
import { failure, type Log, methodOptions } from "@im-gateway/core";
import { createCallEnd } from "./call-end.ts";
import type { EndpointSource } from "./endpoints.ts";
import { toMetadata } from "./metadata.ts";
import type { Peer } from "./peer.ts";
import { createPool } from "./pool.ts";
import { createRetryBudget } from "./retry-budget.ts";
import { callServerStream, type ServerStream, type StreamStep } from "./server-stream.ts";
import type { CallFailure } from "./status.ts";
import { callUnary } from "./unary.ts";

export interface GrpcTransportOptions {
  readonly endpoints: EndpointSource;
  /** The most that a call takes, whatever its caller allows; of a stream, the most that passes without a message. Default 5000. */
  readonly timeoutMs?: number;
  /** How long a call waits for a connection while no endpoint is connected. Default 1000. */
  readonly connectTimeoutMs?: number;
  /** Monotonic milliseconds. Default: `performance.now`. */
  readonly now?: () => number;
  readonly log: Log;
}

export interface GrpcTransport extends Transport {
  /** Some endpoint is connected, so that calls have somewhere to go. While none is, asking tries them all again. */
  isConnected(): boolean;
  /** Drops all connections; calls that run, and later ones, reject with `unavailable`. */
  close(): void;
}

/**
 * Unary and server-streaming calls; one that takes a stream rejects with `unimplemented`.
 *
 * A call always settles, by min(its own `timeoutMs`, the transport's) at the latest. A peer that is gone, or cannot
 * be reached, is `unavailable` with reason LOGIC_UNAVAILABLE: at once when there is no endpoint, after
 * `connectTimeoutMs` when none connects. `canceled` means that the caller's own signal aborted.
 *
 * A call is made a second time, on another endpoint if one is connected, when it never left, or when it ended
 * `unavailable` and its method is `idempotent` in the contract and the budget allows it: a fifth of all calls, and one a second. A stream is
 * as well, until its first message. An endpoint that fails five calls in a row is left out for 10 s, then 20 s, up to a minute, while there are
 * others; one that lets calls wait and answers none of them gets no more until it does.
 *
 * A stream resolves with its first message or its end. The time limit is for that one, then for each message that is waited for: a stream as a
 * whole may take any time, and while its reader wants no message no time passes. Whoever stops reading ends the call.
 */
export function createGrpcTransport(options: GrpcTransportOptions): GrpcTransport {
  const { endpoints, timeoutMs: maxMs = 5000, connectTimeoutMs = 1000, log } = options;
  const { now = () => performance.now() } = options;
  const pool = createPool({ endpoints, connectTimeoutMs, now, log });
  const budget = createRetryBudget(now);

  /** Whether to try once more. */
  const mayRepeat = (method: DescMethod, { error, reached }: CallFailure): boolean =>
    !reached || (error.code === Code.Unavailable && methodOptions(method).idempotent && budget.spend());

  return {
    async unary(method, signal, timeoutMs, header, input) {
      const end = createCallEnd(Math.min(timeoutMs ?? maxMs, maxMs), signal);
      try {
        end.signal.throwIfAborted();
        budget.earn();
        const request = create(method.input, input);
        const metadata = toMetadata(header);
        let failed: Peer | undefined;
        for (;;) {
          const peer = await pool.pick(end, failed);
          const outcome = await watched(peer, () => callUnary(peer, method, request, metadata, end));
          if (outcome.kind === "answered") return outcome.response;
          if (failed !== undefined || !mayRepeat(method, outcome.failure)) throw outcome.failure.error;
          failed = peer;
        }
      } finally {
        end.dispose();
      }
    },
    async stream(method, signal, timeoutMs, header, input) {
      if (method.methodKind !== "server_streaming") {
        throw failure(Code.Unimplemented, "STREAMING_UNSUPPORTED", `${method.name}: a call can not take a stream`);
      }
      const waitMs = Math.min(timeoutMs ?? maxMs, maxMs);
      const end = createCallEnd(waitMs, signal);
      try {
        end.signal.throwIfAborted();
        budget.earn();
        const request = create(method.input, await single(input));
        const metadata = toMetadata(header);
        let failed: Peer | undefined;
        for (;;) {
          const peer = await pool.pick(end, failed);
          const stream = callServerStream(peer, method, request, metadata, signal);
          const first = await watched(peer, () => stream.next(Math.max(0, end.deadlineMs - Date.now())));
          if (first.kind !== "failed") return streamResponse(method, stream, first, waitMs);
          if (failed !== undefined || !mayRepeat(method, first.failure)) throw first.failure.error;
          failed = peer;
        }
      } finally {
        end.dispose();
      }
    },
    isConnected: pool.isConnected,
    close: pool.close,
  };
}

/** What an attempt comes to, told to the peer's health. */
async function watched<
  T extends { readonly kind: "failed"; readonly failure: CallFailure } | { readonly kind: string },
>({ health }: Peer, call: () => Promise<T>): Promise<T> {
  const attempt = health.begin();
  try {
    const outcome = await call();
    if ("failure" in outcome) attempt.failed(outcome.failure);
    else attempt.answered();
    return outcome;
  } catch (thrown) {
    if (thrown instanceof ConnectError && thrown.code === Code.DeadlineExceeded) attempt.failed(undefined);
    else attempt.abandoned();
    throw thrown;
  }
}

function streamResponse<I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  stream: ServerStream<MessageShape<O>>,
  first: StreamStep<MessageShape<O>>,
  waitMs: number,
): StreamResponse<I, O> {
  const { header, trailer } = stream;
  const message = messagesOf(stream, first, waitMs);
  return { stream: true, service: method.parent, method, header, trailer, message };
}

async function* messagesOf<T>(stream: ServerStream<T>, first: StreamStep<T>, waitMs: number): AsyncGenerator<T> {
  try {
    for (let step = first; step.kind !== "end"; step = await stream.next(waitMs)) {
      if (step.kind === "failed") throw step.failure.error;
      yield step.message;
    }
  } finally {
    stream.cancel();
  }
}

/** The one request of a call that takes no stream. */
async function single<I extends DescMessage>(input: AsyncIterable<MessageInitShape<I>>): Promise<MessageInitShape<I>> {
  for await (const message of input) return message;
  throw failure(Code.InvalidArgument, "NO_REQUEST", "a call without a request");
}
