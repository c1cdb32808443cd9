// What every refusal has to look like: the error body of CONTRACT §3, the `error` frame of §4, and no word of a parser or library in either.
import { expect } from "vitest";
import { asRecord, asRecords, type Frame } from "../../client.ts";
import type { WireAnswer } from "../../exchange.ts";

export interface Refusal {
  /** Connect's code in lower case. */
  readonly code: string;
  /** Of the ErrorInfo. */
  readonly reason: string;
  /** A field that has to be among the violations. */
  readonly field?: string | undefined;
}

const traceId: unknown = expect.stringMatching(/^[0-9a-f]{32}$/);
/** Traces of a stack, of JSON.parse, of a library or of a class of ours. */
const internals =
  /\bat \S+ \(|\.[mc]?[jt]s:\d|node_modules|node:|Unexpected (token|end|non)|in JSON at|SyntaxError|TypeError|ConnectError|BadValue|kafkajs|protobuf-es|jose|JWS|JWE|Hono|HPE_|ERR_|SQLITE|Sec-WebSocket/;

/** @param secrets what was sent and must not come back */
export function expectRefusal(
  answer: WireAnswer,
  { status, ...refusal }: Refusal & { readonly status: number },
  ...secrets: readonly string[]
): void {
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status });
  expect(answer.headers["content-type"]).toMatch(/^application\/json(;|$)/);
  const body = asRecord(JSON.parse(answer.text));
  expect(body).toEqual({
    code: refusal.code,
    message: expect.stringMatching(/./),
    details: expect.any(Array),
    trace_id: traceId,
  });
  expectDetails(body.details, refusal);
  expectNoInternals(answer.text + JSON.stringify(answer.headers), secrets);
}

export function expectErrorFrame({ data }: Frame, refusal: Refusal, ...secrets: readonly string[]): void {
  expect(data).toMatchObject({
    code: refusal.code,
    reason: refusal.reason,
    message: expect.stringMatching(/./),
    trace_id: traceId,
  });
  expectDetails(data.details, refusal);
  expectNoInternals(JSON.stringify(data), secrets);
}

export function expectNoInternals(text: string, secrets: readonly string[] = []): void {
  expect(text).not.toMatch(internals);
  for (const secret of secrets.filter((one) => one !== "")) {
    expect(text).not.toContain(secret);
  }
}

function expectDetails(details: unknown, { reason, field }: Refusal): void {
  const parts = asRecords(details);
  const one = (type: string): Readonly<Record<string, unknown>> | undefined =>
    parts.find((part) => part["@type"] === `type.googleapis.com/google.rpc.${type}`);
  expect(one("ErrorInfo")).toMatchObject({ reason, domain: "im-gateway" });
  if (field !== undefined) {
    const fields = asRecords(one("BadRequest")?.field_violations).map((violation) => violation.field);
    expect(fields).toContain(field);
  }
}
