import fc from "fast-check";
import { expect, test } from "vitest";
import { newTrace, traceOf } from "./trace.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

test("the caller's trace is kept, its flags too", () => {
  for (const flags of ["00", "01"]) {
    const traceparent = `00-${traceId}-${spanId}-${flags}`;
    expect(traceOf(traceparent)).toEqual({ traceId, traceparent });
  }
});

test.each([
  ["absent", null],
  ["empty", ""],
  ["of another version", `ff-${traceId}-${spanId}-01`],
  ["in upper case", `00-${traceId.toUpperCase()}-${spanId}-01`],
  ["of zeros", `00-${"0".repeat(32)}-${spanId}-01`],
  ["without a span", `00-${traceId}-${"0".repeat(16)}-01`],
  ["too long", `00-${traceId}-${spanId}-01-x`],
  ["cut short", `00-${traceId}-${spanId}`],
  ["followed by a line", `00-${traceId}-${spanId}-01\n`],
])("a header that is %s makes a new trace", (_name, header) => {
  const trace = traceOf(header);
  expect(trace.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(trace.traceId).not.toBe(traceId);
  expect(trace.traceparent).toMatch(new RegExp(`^00-${trace.traceId}-[0-9a-f]{16}-00$`));
});

test("every new trace is another one, and is taken over as it is", () => {
  const traces = Array.from({ length: 1000 }, newTrace);
  expect(new Set(traces.map((trace) => trace.traceId)).size).toBe(1000);
  for (const trace of traces) {
    expect(traceOf(trace.traceparent)).toEqual(trace);
  }
});

test("any header gives a trace", () => {
  fc.assert(
    fc.property(fc.string(), (header) => {
      expect(traceOf(header).traceId).toMatch(/^[0-9a-f]{32}$/);
    }),
  );
});
