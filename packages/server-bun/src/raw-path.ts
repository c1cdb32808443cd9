// The path of a request as it came: a Request's URL has lost its `.` and `..` segments, but Bun's router looks at the path before that.

/** Longer paths than this are seen as the URL has them. */
const maxSegments = 20;

/** Patterns for `Bun.serve`'s routes that match each path without an empty segment; `rawPath` takes their params. */
export const everyPath: readonly string[] = Array.from({ length: maxSegments }, (_, n) =>
  Array.from({ length: n + 1 }, (_, i) => `/:s${i}`).join(""),
);

/**
 * Path and query as they came, as far as it matters: what the URL resolved (`.`, `..`, `%2e`, a backslash) is in it again, so that it is refused.
 * @param url of the request, absolute
 * @param params its segments, decoded, by the pattern that matched; none when no pattern did
 */
export function rawPath(url: string, params: Readonly<Record<string, string>> | undefined): string {
  const path = url.slice(url.indexOf("/", url.indexOf("://") + 3));
  const query = path.indexOf("?");
  const [pathname, search] = query === -1 ? [path, ""] : [path.slice(0, query), path.slice(query)];
  const resolved = pathname.slice(1).split("/");
  if (params === undefined) {
    // It had an empty segment, or very many: where these are gone, a dot segment took them.
    return pathname === "/" || resolved.includes("") || resolved.length > maxSegments ? path : `/.${path}`;
  }
  const segments = Object.values(params);
  const isDot = (segment: string): boolean => segment === "." || segment === ".." || segment.includes("\\");
  const same = segments.length === resolved.length && !segments.some(isDot);
  return same ? path : `/${segments.map(encodeURIComponent).join("/")}${search}`;
}
