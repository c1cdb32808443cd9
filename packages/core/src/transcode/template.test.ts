import { describe, expect, test } from "vitest";
import { createRouteTrie } from "./route-trie.ts";
import { parseTemplate } from "./template.ts";

describe("templates", () => {
  test.each([
    ["/a", ["a"], [], ""],
    ["/a/*/b", ["a", "*", "b"], [], ""],
    ["/a/**", ["a", "**"], [], ""],
    ["/a/{x}", ["a", "*"], ["x 1-2"], ""],
    ["/a/{x.y}:go", ["a", "*"], ["x.y 1-2"], "go"],
    ["/{name=shelves/*/books/*}", ["shelves", "*", "books", "*"], ["name 0-4 multi"], ""],
    ["/{name=a/**}:go", ["a", "**"], ["name 0-Infinity multi"], "go"],
    ["/", [], [], ""],
    ["/{x}/{y}", ["*", "*"], ["x 0-1", "y 1-2"], ""],
  ])("%s", (text, segments, variables, verb) => {
    const template = parseTemplate(text);
    expect(
      template.segments.map((segment) =>
        segment.kind === "literal" ? segment.text : segment.kind === "single" ? "*" : "**",
      ),
    ).toEqual(segments);
    expect(
      template.variables.map(
        ({ fieldPath, start, end, multi }) => `${fieldPath.join(".")} ${start}-${end}${multi ? " multi" : ""}`,
      ),
    ).toEqual(variables);
    expect(template.verb).toBe(verb);
  });

  test.each([
    "",
    "a",
    "ab/c",
    "{x}",
    "//a",
    "/a/",
    "/a:",
    "/**/a",
    "/{x=**}/a",
    "/{x",
    "/x}",
    "/{x}y",
    "/{}",
    "/{1x}",
    "/{x={y}}",
    "/a b",
    "/a/%zz",
    "/a/../b",
    "/{x}/{x}",
    "/{x=a/{y}}",
    "/{x=a=b}",
  ])("%s is refused", (text) => {
    expect(() => parseTemplate(text)).toThrow("path template");
  });
});

describe("matching", () => {
  const trie = createRouteTrie<string>((route) => route);
  for (const path of ["/a/b", "/a/{x}", "/a/{x}/c", "/{x}/b/d", "/a/{x}:go", "/f/{x=**}", "/f/{x=**}:go", "/f/g"]) {
    trie.add("GET", parseTemplate(path), path);
  }
  trie.add("POST", parseTemplate("/a/b"), "POST /a/b");

  test.each([
    ["/a/b", "/a/b"],
    ["/a/x", "/a/{x}"],
    ["/a/b/c", "/a/{x}/c"],
    ["/a/b/d", "/{x}/b/d"],
    ["/a/x:go", "/a/{x}:go"],
    ["/a/x:stop", "/a/{x}"],
    ["/a/x:y:go", "/a/{x}:go"],
    ["/a/b/c:go", undefined],
    ["/f", "/f/{x=**}"],
    ["/f/x/y/z", "/f/{x=**}"],
    ["/f/x/y:go", "/f/{x=**}:go"],
    ["/f/g", "/f/g"],
    ["/f/g/", undefined],
    ["/a//c", undefined],
    ["/", undefined],
    ["/b", undefined],
  ])("%s", (path, route) => {
    const match = trie.match("GET", path);
    expect(match.kind === "found" ? match.route : undefined).toBe(route);
  });

  test("a known path with another method names the methods it has", () => {
    expect(trie.match("PUT", "/a/b")).toEqual({ kind: "other-methods", methods: ["GET", "POST"] });
  });
});
