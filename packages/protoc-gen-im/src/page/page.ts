import type { JsonObject } from "@bufbuild/protobuf";
export function documentationPage(
  _openapi: JsonObject,
  _asyncapi: JsonObject,
): { html: string; contentSecurityPolicy: string } {
  return { html: "<!doctype html>", contentSecurityPolicy: "default-src 'none'" };
}
