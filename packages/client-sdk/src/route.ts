// A method's route and a request → an HTTP request.
import { ImError } from "./errors.ts";
import type { JsonObject } from "./gen/types.ts";
import { toJson } from "./json.ts";

export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly body: unknown;
}

/**
 * @param route a line of the generated table: verb, path, where the body goes
 * @throws ImError invalid_argument for what neither a URL nor JSON can carry
 */
export function toHttpRequest(route: string, request: JsonObject): HttpRequest {
  const [method = "", template = "", bodyField] = route.split(" ");
  toJson(request);
  const rest: JsonObject = { ...request };
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(rest[name] ?? "");
    delete rest[name];
    // Clients and proxies take dots for steps in the path, encoded or not.
    if (/^\.{0,2}$/.test(value)) {
      throw new ImError("invalid_argument", "INVALID_FIELD", `${name}: ${value === "" ? "is required" : "is no id"}`);
    }
    return encodeURIComponent(value);
  });
  if (bodyField === "*") {
    return { method, path, body: rest };
  }
  const body = bodyField === undefined ? undefined : rest[bodyField];
  delete rest[bodyField ?? ""];
  const query = new URLSearchParams(Object.entries(rest).flatMap(([name, value]) => pairs(name, value)));
  return { method, path: query.size === 0 ? path : `${path}?${query}`, body };
}

function pairs(name: string, value: unknown): [string, string][] {
  if (value === undefined || value === null) {
    return [];
  }
  if (Array.isArray(value)) {
    return value.flatMap((item) => pairs(name, item));
  }
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([field, inner]) => pairs(`${name}.${field}`, inner));
  }
  return [[name, String(value)]];
}
