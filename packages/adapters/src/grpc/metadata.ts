// Headers ↔ gRPC metadata.
import { Metadata } from "@grpc/grpc-js";

/** Belong to the connection or to the protocol; a caller's copy would break the call or lie about it. */
const protocolHeaders: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "content-type",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "user-agent",
]);
// gRPC over HTTP/2, "Custom-Metadata": https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
const legalName = /^[0-9a-z_.-]+$/;
const printableAscii = /^[\x20-\x7e]*$/;

/**
 * Leaves out what gRPC does not carry: protocol headers, `grpc-*`, and values beyond printable ASCII. `-bin` values
 * are base64 in `headers`.
 */
export function toMetadata(init: ConstructorParameters<typeof Headers>[0]): Metadata {
  const metadata = new Metadata();
  if (init === undefined) return metadata;
  for (const [name, value] of new Headers(init)) {
    if (protocolHeaders.has(name) || name.startsWith("grpc-") || !legalName.test(name)) continue;
    if (name.endsWith("-bin")) {
      for (const part of value.split(",")) metadata.add(name, Buffer.from(part, "base64"));
    } else if (printableAscii.test(value)) {
      metadata.add(name, value);
    }
  }
  return metadata;
}

/** `-bin` values as unpadded base64. */
export function appendMetadata(target: Headers, metadata: Metadata): Headers {
  for (const [name, values] of Object.entries(metadata.toJSON())) {
    for (const value of values) {
      target.append(name, typeof value === "string" ? value : value.toString("base64").replace(/=+$/, ""));
    }
  }
  return target;
}
