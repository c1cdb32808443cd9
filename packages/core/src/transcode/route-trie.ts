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

/** HTTP method, or `*` for any, → route. */
type Methods<R> = Map<string, R>;

interface Node<R> {
  readonly literals: Map<string, Node<R>>;
  single: Node<R> | undefined;
  /** Routes that end here, and those that end in `**` here, by verb. */
  readonly ends: Map<string, Methods<R>>;
  readonly multiEnds: Map<string, Methods<R>>;
}

export interface RouteTrie<R> {
  /** @throws ConnectError internal when a route with the same method and shape is there already */
  add(method: string, template: Template, route: R): void;
  /** @throws ConnectError internal when a route can never be reached, because others take all its paths */
  refuseShadowed(): void;
  /** @throws ConnectError invalid_argument on bad percent-encoding, or too many segments */
  match(method: string, rawPath: string): Match<R>;
}

/** More of them are refused. */
export const maxPathSegments = 1000;

/** @param describe names a route, for whoever has to mend the contract */
export function createRouteTrie<R>(describe: (route: R) => string): RouteTrie<R> {
  const root = createNode<R>();
  const verbs = new Set<string>();

  const add = (method: string, template: Template, route: R): void => {
    let node = root;
    let multi = false;
    for (const segment of template.segments) {
      if (segment.kind === "multi") {
        multi = true;
      } else if (segment.kind === "single") {
        node.single ??= createNode();
        node = node.single;
      } else {
        const next = node.literals.get(segment.value) ?? createNode();
        node.literals.set(segment.value, next);
        node = next;
      }
    }
    const ends = multi ? node.multiEnds : node.ends;
    const methods = ends.get(template.verb) ?? new Map<string, R>();
    const other = methods.get(method);
    if (other !== undefined) {
      const message = `two methods answer the same: ${describe(other)}, and ${describe(route)}`;
      throw failure(Code.Internal, "DUPLICATE_ROUTE", message);
    }
    methods.set(method, route);
    ends.set(template.verb, methods);
    verbs.add(template.verb);
  };

  const match = (method: string, rawPath: string): Match<R> => {
    if (!rawPath.startsWith("/")) {
      return { kind: "none" };
    }
    const segments = splitPath(rawPath);
    const last = segments.at(-1) ?? "";
    const colon = last.lastIndexOf(":");
    const verb = colon === -1 ? "" : decodePathSegment(last.slice(colon + 1));
    const methods: string[] = [];
    // With a registered verb the last segment is tried without it first.
    if (verb !== "" && verbs.has(verb)) {
      const trimmed = segments.with(-1, last.slice(0, colon));
      const found = find(root, 0, { segments: trimmed, verb, method, methods });
      if (found !== undefined) {
        return { kind: "found", route: found, segments: trimmed };
      }
    }
    const found = find(root, 0, { segments, verb: "", method, methods });
    if (found !== undefined) {
      return { kind: "found", route: found, segments };
    }
    return methods.length > 0 ? { kind: "other-methods", methods: [...new Set(methods)].sort() } : { kind: "none" };
  };

  return { add, match, refuseShadowed: () => refuseShadowed(root, describe) };
}

interface Search {
  readonly segments: readonly string[];
  readonly verb: string;
  readonly method: string;
  /** Collects the methods that other routes of the same path have. */
  readonly methods: string[];
}

/** The route of the segments from `index` on. Visits a node once at most: the cost is bounded by the routes, not by the path. */
function find<R>(node: Node<R>, index: number, search: Search): R | undefined {
  const segment = search.segments[index];
  if (segment === undefined) {
    return pick(node.ends, search) ?? pick(node.multiEnds, search);
  }
  if (segment !== "") {
    const literal = node.literals.size === 0 ? undefined : node.literals.get(decodePathSegment(segment));
    const found =
      (literal && find(literal, index + 1, search)) ?? (node.single && find(node.single, index + 1, search));
    if (found !== undefined) {
      return found;
    }
  }
  // No wildcard takes an empty segment.
  return node.multiEnds.size === 0 || search.segments.includes("", index) ? undefined : pick(node.multiEnds, search);
}

function pick<R>(ends: ReadonlyMap<string, Methods<R>>, { verb, method, methods }: Search): R | undefined {
  const routes = ends.get(verb);
  if (routes === undefined) {
    return undefined;
  }
  const route = routes.get(method) ?? anyOf(routes, method);
  if (route !== undefined) {
    return route;
  }
  for (const name of routes.keys()) {
    methods.push(name);
  }
  return undefined;
}

/** HEAD follows GET; `*` is any method but OPTIONS, which is answered without a call unless the contract names it. */
function anyOf<R>(routes: Methods<R>, method: string): R | undefined {
  return (method === "HEAD" ? routes.get("GET") : undefined) ?? (method === "OPTIONS" ? undefined : routes.get("*"));
}

/** Of a path that starts with a slash; loops, since `split` takes several times as long. */
function splitPath(path: string): string[] {
  const segments: string[] = [];
  if (path === "/") {
    return segments;
  }
  for (let start = 1; ; ) {
    const slash = path.indexOf("/", start);
    segments.push(slash === -1 ? path.slice(start) : path.slice(start, slash));
    if (slash === -1) {
      return segments;
    }
    if (segments.length === maxPathSegments) {
      const message = `the path has more than ${maxPathSegments} segments`;
      throw failure(Code.InvalidArgument, "PATH_TOO_LONG", message);
    }
    start = slash + 1;
  }
}

/**
 * Only a route that ends in `**` can be: for a wildcard there is always a text that no literal has, but zero, one, two … segments can each have
 * a route of their own.
 */
function refuseShadowed<R>(node: Node<R>, describe: (route: R) => string): void {
  for (const [verb, methods] of node.multiEnds) {
    for (const [method, route] of methods) {
      if (takes(node.ends, verb, method) && node.single !== undefined && takesAll(node.single, verb, method)) {
        const message = `can never be reached, because other routes take all its paths: ${describe(route)}`;
        throw failure(Code.Internal, "SHADOWED_ROUTE", message);
      }
    }
  }
  for (const child of [...node.literals.values(), ...(node.single === undefined ? [] : [node.single])]) {
    refuseShadowed(child, describe);
  }
}

/** Whatever follows after this node has a route. */
function takesAll<R>(node: Node<R>, verb: string, method: string): boolean {
  return (
    takes(node.multiEnds, verb, method) ||
    (takes(node.ends, verb, method) && node.single !== undefined && takesAll(node.single, verb, method))
  );
}

function takes<R>(ends: ReadonlyMap<string, Methods<R>>, verb: string, method: string): boolean {
  const methods = ends.get(verb);
  return methods !== undefined && (methods.get(method) ?? anyOf(methods, method)) !== undefined;
}

function createNode<R>(): Node<R> {
  return { literals: new Map(), single: undefined, ends: new Map(), multiEnds: new Map() };
}
