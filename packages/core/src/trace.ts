// W3C Trace Context (https://www.w3.org/TR/trace-context/): one trace id from the client's request to the last record.

export interface Trace {
  /** 32 hexadecimal digits; `trace_id` in frames, records and error bodies. */
  readonly traceId: string;
  /** The header that hands the trace on. */
  readonly traceparent: string;
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const NO_TRACE = "0".repeat(32);
const NO_SPAN = "0".repeat(16);

/** The caller's trace, or a new one where its header is absent or malformed. */
export function traceOf(traceparent: string | null | undefined): Trace {
  const match = TRACEPARENT.exec(traceparent ?? "");
  const [, traceId = NO_TRACE, spanId = NO_SPAN] = match ?? [];
  return match !== null && traceId !== NO_TRACE && spanId !== NO_SPAN ? { traceId, traceparent: match[0] } : newTrace();
}

/** The trace id that a header names; undefined where it is absent or malformed. */
export function traceIdOf(traceparent: string | null | undefined): string | undefined {
  const { traceId, traceparent: kept } = traceOf(traceparent);
  return kept === traceparent ? traceId : undefined;
}

export function newTrace(): Trace {
  // Random but for a few bits. Runtimes draw UUIDs ahead, random bytes of one's own cost ten times as much.
  const traceId = crypto.randomUUID().replaceAll("-", "");
  // A span has to differ from the others of its trace only, and this is the first.
  return { traceId, traceparent: `00-${traceId}-${traceId.slice(16)}-00` };
}
