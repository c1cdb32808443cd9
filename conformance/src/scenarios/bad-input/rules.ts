// Values of the right type that break a field's rule: whoever checks it, the gateway or im-logic, the answer is the same.
import type { WireRequest } from "../../exchange.ts";
import type { BadCall } from "./routes.ts";

const api = "/api/v1";
const words = (length: number): string => "x".repeat(length);

/** Field, and the value that breaks its rule, in the query of each route. */
const queries: readonly (readonly [route: string, field: string, value: string, more?: string])[] = [
  ["/users", "query", ""],
  ["/users", "query", words(65)],
  ["/users", "page_size", "101", "query=x"],
  ["/users", "page_token", "x", "query=x"],
  ["/presence", "user_ids", Array.from({ length: 101 }, () => "x").join("&user_ids=")],
  ["/conversations", "page_size", "-1"],
  ["/conversations", "page_token", "x"],
  ["/conversations/{conversation_id}/messages", "page_size", "101"],
  ["/conversations/{conversation_id}/messages", "after_seq_id", "-1"],
  ["/friends", "page_size", "101"],
  ["/friends", "page_token", "x"],
  ["/friends/requests", "direction", "sideways"],
  ["/friends/requests", "page_size", "-1"],
  ["/friends/requests", "page_token", "x"],
  ["/search", "query", ""],
  ["/search", "query", words(129)],
  ["/search", "page_size", "101", "query=x"],
  ["/search", "page_token", "x", "query=x"],
];

/** The same in a body; the field is what the violation names. */
const bodies: readonly (readonly [method: string, route: string, field: string, body: object])[] = [
  ["POST", "/sync", "page_size", { page_size: 101 }],
  ["POST", "/sync", "page_size", { page_size: -1 }],
  ["POST", "/friends/requests", "user_id", { user_id: "" }],
  ["POST", "/friends/requests", "message", { user_id: "x", message: words(257) }],
  ["POST", "/groups/{group_id}:transfer", "user_id", { user_id: "" }],
  ["POST", "/groups", "name", { name: words(101) }],
  ["PUT", "/groups/{group_id}/members/{user_id}/role", "role", { role: 3 }],
  ["PUT", "/conversations/{conversation_id}/read", "seq_id", { seq_id: -1 }],
];

export function brokenRules(): readonly (readonly [name: string, call: BadCall])[] {
  const call = (
    method: string,
    route: string,
    field: string,
    broken: string,
    request: Partial<WireRequest>,
  ): readonly [string, BadCall] => [
    `${method} ${route} with ${field} ${broken.length > 20 ? `of ${broken.length} characters` : broken}`,
    { request: { method, path: fill(route), ...request }, route: api + route, field },
  ];
  return [
    ...queries.map(([route, field, value, more = ""]) =>
      call("GET", route, field, value, { path: `${fill(route)}?${more}&${field}=${value}`.replace("?&", "?") }),
    ),
    ...bodies.map(([method, route, field, body]) => {
      const headers = { "content-type": "application/json" };
      return call(method, route, field, JSON.stringify(body), { headers, body: JSON.stringify(body) });
    }),
  ];
}

function fill(route: string): string {
  return api + route.replace(/\{\w+\}/g, "x");
}
