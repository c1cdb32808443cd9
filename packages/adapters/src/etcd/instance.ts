// A service instance as etcd holds it: `/services/{name}/{id}` = JSON `{id, name, address, port, metadata}`.
import type { ServiceInstance } from "@im-gateway/core";
import * as v from "valibot";

export function keyPrefix(name: string): string {
  return `/services/${name}/`;
}

export function keyOf({ name, id }: ServiceInstance): string {
  return keyPrefix(name) + id;
}

export function encodeInstance({ id, name, address, port, metadata }: ServiceInstance): string {
  return JSON.stringify({ id, name, address, port, metadata });
}

const instanceSchema = v.object({
  id: v.pipe(v.string(), v.nonEmpty()),
  name: v.pipe(v.string(), v.nonEmpty()),
  // A host name or an IP address: it becomes part of URLs.
  address: v.pipe(v.string(), v.regex(/^[\w.:-]+$/)),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  metadata: v.optional(v.record(v.string(), v.string()), {}),
});

/** Undefined when the value is not an instance, or one of another key. */
export function decodeInstance(key: string, value: Uint8Array): ServiceInstance | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(value));
  } catch {
    return undefined;
  }
  const parsed = v.safeParse(instanceSchema, json);
  return parsed.success && keyOf(parsed.output) === key ? parsed.output : undefined;
}
