// What is refused because there is too much of it: each is counted, and told when to come again.
import { Code, type ConnectError } from "@connectrpc/connect";
import { type Counters, count } from "../counters.ts";
import { failure } from "../errors.ts";

export interface Refusal {
  /** What there is too much of: the metric's `reason`. */
  readonly of: string;
  readonly reason: string;
  readonly message: string;
  /** Default: unavailable. */
  readonly code?: Code;
  /** The hint is up to so many times longer than a second. Default: 1. */
  readonly spread?: number;
}

export type Refuse = (refusal: Refusal) => ConnectError;

/** Who is refused comes again after so long, and up to twice that: not all at the same moment. */
const retryAfterMs = 1000;

export function createRefuse(counters: Pick<Counters, "refused">): Refuse {
  return ({ of, reason, message, code = Code.Unavailable, spread = 1 }) => {
    count(counters.refused, of);
    return failure(code, reason, message, { retryAfterMs: Math.ceil(retryAfterMs * (1 + spread * Math.random())) });
  };
}
