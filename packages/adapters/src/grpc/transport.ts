// Connect's Transport over @grpc/grpc-js: plaintext HTTP/2 to the endpoints of one service.
import { create, type DescMethod } from "@bufbuild/protobuf";
import { Code, type Transport } from "@connectrpc/connect";
import { failure, type Log, methodOptions } from "@im-gateway/core";
import { createCallEnd } from "./call-end.ts";
import type { EndpointSource } from "./endpoints.ts";
import { toMetadata } from "./metadata.ts";
import type { Peer } from "./peer.ts";
import { createPool } from "./pool.ts";
import type { CallFailure } from "./status.ts";
import { callUnary } from "./unary.ts";

export interface GrpcTransportOptions {
  readonly endpoints: EndpointSource;
  /** The most that a call takes, whatever its caller allows. Default 5000. */
  readonly timeoutMs?: number;
  /** How long a call waits for a connection while no endpoint is connected. Default 1000. */
  readonly connectTimeoutMs?: number;
  readonly log: Log;
}

export interface GrpcTransport extends Transport {
  /** Some endpoint is connected, so that calls have somewhere to go. While none is, asking tries them all again. */
  isConnected(): boolean;
  /** Drops all connections; calls that run, and later ones, reject with `unavailable`. */
  close(): void;
}

/**
 * Unary calls only; a streaming one rejects with `unimplemented`.
 *
 * A call always settles, by min(its own `timeoutMs`, the transport's) at the latest. A peer that is gone, or cannot
 * be reached, is `unavailable` with reason LOGIC_UNAVAILABLE: at once when there is no endpoint, after
 * `connectTimeoutMs` when none connects. `canceled` means that the caller's own signal aborted.
 *
 * A call is made a second time, on another endpoint if one is connected, when it never left, or when it ended
 * `unavailable` and its method is `idempotent` in the contract.
 */
export function createGrpcTransport(options: GrpcTransportOptions): GrpcTransport {
  const { endpoints, timeoutMs: maxMs = 5000, connectTimeoutMs = 1000, log } = options;
  const pool = createPool({ endpoints, connectTimeoutMs, log });

  return {
    async unary(method, signal, timeoutMs, header, input) {
      const end = createCallEnd(Math.min(timeoutMs ?? maxMs, maxMs), signal);
      try {
        end.signal.throwIfAborted();
        const request = create(method.input, input);
        const metadata = toMetadata(header);
        let failed: Peer | undefined;
        for (;;) {
          const peer = await pool.pick(end, failed);
          const outcome = await callUnary(peer, method, request, metadata, end);
          if (outcome.kind === "answered") return outcome.response;
          if (failed !== undefined || !mayRepeat(method, outcome.failure)) throw outcome.failure.error;
          failed = peer;
        }
      } finally {
        end.dispose();
      }
    },
    async stream(method) {
      throw failure(Code.Unimplemented, "STREAMING_UNSUPPORTED", `${method.name}: streaming calls are not supported`);
    },
    isConnected: pool.isConnected,
    close: pool.close,
  };
}

function mayRepeat(method: DescMethod, { error, reached }: CallFailure): boolean {
  return !reached || (error.code === Code.Unavailable && methodOptions(method).idempotent);
}
