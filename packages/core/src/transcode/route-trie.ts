// Finds the route of a method and a raw path. Literals win over `*`, `*` over `**`; a verb counts only where a route has it.
import { Code } from "@connectrpc/connect";
import { failure } from "../errors.ts";
import { decodePathSegment } from "./percent.ts";
import type { Template } from "./template.ts";

export type Match<R> =
  /** `segments` are the raw ones that the template's variables capture from, without the verb. */
  | { readonly kind: "found"; readonly route: R; readonly segments: readonly string[] }
  /** The path is known, the method is not. */
  | { readonly kind: "other-methods"; readonly methods: readonly string[] }
  | { readonly kind: "none" };

interface Node<R> {
  readonly literals: Map<string, Node<R>>;
  single: Node<R> | undefined;
  /** Routes that end here, and those that end in `**` here: verb → HTTP method → route. */
  readonly ends: Map<string, Map<string, R>>;
  readonly multiEnds: Map<string, Map<string, R>>;
}

export interface RouteTrie<R> {
  /** @throws ConnectError internal when a route with the same method and shape is there already */
  add(method: string, template: Template, route: R, description: string): void;
  /** @throws ConnectError invalid_argument on bad percent-encoding */
  match(method: string, rawPath: string): Match<R>;
}

export function createRouteTrie<R>(): RouteTrie<R> {
  const root = createNode<R>();
  const verbs = new Set<string>();

  const add = (method: string, template: Template, route: R, description: string): void => {
    let node = root;
    let multi = false;
    for (const segment of template.segments) {
      if (segment.kind === "multi") {
        multi = true;
      } else if (segment.kind === "single") {
        node.single ??= createNode();
        node = node.single;
      } else {
        const text = decodePathSegment(segment.text);
        const next = node.literals.get(text) ?? createNode();
        node.literals.set(text, next);
        node = next;
      }
    }
    const ends = multi ? node.multiEnds : node.ends;
    const methods = ends.get(template.verb) ?? new Map<string, R>();
    if (methods.has(method)) {
      throw failure(Code.Internal, "DUPLICATE_ROUTE", `two methods answer ${method} ${description}`);
    }
    methods.set(method, route);
    ends.set(template.verb, methods);
    verbs.add(template.verb);
  };

  const match = (method: string, rawPath: string): Match<R> => {
    if (!rawPath.startsWith("/")) {
      return { kind: "none" };
    }
    const segments = rawPath.slice(1).split("/");
    const last = segments.at(-1) ?? "";
    const colon = last.lastIndexOf(":");
    const verb = colon === -1 ? "" : decodePathSegment(last.slice(colon + 1));
    const methods = new Set<string>();
    // With a registered verb the last segment is tried without it first.
    if (verb !== "" && verbs.has(verb)) {
      const trimmed = segments.with(-1, last.slice(0, colon));
      const found = find(root, trimmed, 0, verb, method, methods);
      if (found !== undefined) {
        return { kind: "found", route: found, segments: trimmed };
      }
    }
    const found = find(root, segments, 0, "", method, methods);
    if (found !== undefined) {
      return { kind: "found", route: found, segments };
    }
    return methods.size > 0 ? { kind: "other-methods", methods: [...methods].sort() } : { kind: "none" };
  };

  return { add, match };
}

/** The route of `segments` from `index` on; methods that other routes of the same path have are added to `methods`. */
function find<R>(
  node: Node<R>,
  segments: readonly string[],
  index: number,
  verb: string,
  method: string,
  methods: Set<string>,
): R | undefined {
  const segment = segments[index];
  if (segment === undefined) {
    return pick(node.ends, verb, method, methods) ?? pick(node.multiEnds, verb, method, methods);
  }
  if (segment !== "") {
    const literal = node.literals.size === 0 ? undefined : node.literals.get(decodePathSegment(segment));
    const found =
      (literal && find(literal, segments, index + 1, verb, method, methods)) ??
      (node.single && find(node.single, segments, index + 1, verb, method, methods));
    if (found !== undefined) {
      return found;
    }
  }
  return segments.includes("", index) ? undefined : pick(node.multiEnds, verb, method, methods);
}

function pick<R>(
  ends: ReadonlyMap<string, ReadonlyMap<string, R>>,
  verb: string,
  method: string,
  methods: Set<string>,
): R | undefined {
  const routes = ends.get(verb);
  if (routes === undefined) {
    return undefined;
  }
  for (const name of routes.keys()) {
    methods.add(name);
  }
  return routes.get(method);
}

function createNode<R>(): Node<R> {
  return { literals: new Map(), single: undefined, ends: new Map(), multiEnds: new Map() };
}
