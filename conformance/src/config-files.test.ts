// Bad configuration files through the door of both commands: exit 2, the place, and what is wrong, in time.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "./worlds/program.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "im-config-files-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Aliases of aliases: a list that would have 9 to the 9th items. */
function bomb(): string {
  const names = "abcdefghi".split("");
  const lists = names.map((name, index) => {
    const item = index === 0 ? "x:1" : `*${names[index - 1]}`;
    return `${name}: &${name} [${Array.from({ length: 9 }, () => item).join(", ")}]`;
  });
  return `${lists.join("\n")}\nkafka:\n  brokers: *i\n`;
}

/** What is said is what stands behind the file's name, and `--config` before it where nothing could be read. */
const bad: Readonly<Record<string, readonly [content: string | Uint8Array, says: string | RegExp]>> = {
  "a syntax error": ["log: [\n", ":2:1: Flow sequence in block collection must be sufficiently indented"],
  "a line that is neither key nor value": ["log:\n  level: info\n  nonsense\n", /:3:\d+: /],
  "a quote without an end": ['log:\n  level: "info\n', /:\d:\d+: Missing closing "quote/],
  "a key that is there twice": ["log:\n  level: info\n  level: warn\n", ":3:3: Map keys must be unique"],
  tabs: ["log:\n\tlevel: info\n", ":2:1: Tabs are not allowed as indentation"],
  "a list in place of a map": ["- log\n", ":1:1: the file is not a map of keys"],
  "a word in place of a map": ["configuration\n", ":1:1: the file is not a map of keys"],
  "JSON that is no map": ["[1, 2]\n", ":1:1: the file is not a map of keys"],
  "two documents": ["log: {level: info}\n---\nlog: {level: warn}\n", ":2:1: more than one document"],
  "bytes that are no text": [new Uint8Array([0xff, 0xfe, 0x00, 0x01]), ": the file cannot be read: it is not UTF-8"],
  "zero bytes": [new Uint8Array(100), /:1:\d+: /],
  "a program": [
    new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0x80, 0xff]),
    ": the file cannot be read: it is not UTF-8",
  ],
  "a terminal escape and a line break in a key": ['"ht\\e[31mtp\\n": 1\n', ":1:1: ht\\u001b[31mtp\\u000a: not a key"],
  "an alias of nothing": ["log:\n  level: *nowhere\n", /:2:\d+: /],
  "an anchor bomb": [bomb(), ":11:12: kafka.brokers: wants a value"],
  "a list that has itself in it": ["kafka:\n  brokers: &b [*b]\n", /:2:\d+: kafka\.brokers: wants a value/],
  "a value nested without end": [`kafka:\n  brokers: ${"[".repeat(10_000)}\n`, /:\d+:\d+: /],
};

test.concurrent.each(Object.entries(bad))("%s: exit 2 and the place", async (name, [content, says]) => {
  const path = join(folder, `${name.replaceAll(" ", "-")}.yaml`);
  writeFileSync(path, content);
  const { code, output } = await run("im-gateway", ["check-config", "--config", path]);
  expect({ code, output }).toMatchObject({ code: 2 });
  const [first, ...lines] = output.split("\n");
  expect(first).toBe("im-gateway: The configuration cannot be used. Correct this and start again:");
  const said = lines.map((line) => line.split(path)[1] ?? line);
  const fits = (line: string): boolean => (typeof says === "string" ? line.startsWith(says) : says.test(line));
  expect(said, output).toSatisfy((all: readonly string[]) => all.some(fits));
  expect(output).not.toMatch(/\bat \S+ \(|node_modules|RangeError|TypeError/);
});

describe.each([
  ["im-gateway", "serve"],
  ["im-logic", "serve"],
  ["im-logic", "check-config"],
])("%s %s", (command, word) => {
  test.each([
    ["a folder", () => folder, "it is a folder"],
    ["a file that is not there", () => join(folder, "nowhere.yaml"), "there is none"],
  ])("%s: exit 2 and what it is", async (_name, pathOf, reason) => {
    const path = pathOf();
    expect(await run(command, [word, "--config", path])).toEqual({
      code: 2,
      output: [
        `${command}: The configuration cannot be used. Correct this and start again:`,
        `  --config ${path}: the file cannot be read: ${reason}`,
      ].join("\n"),
    });
  });
});

test.concurrent.each([
  ["an empty file", ""],
  ["nothing but a comment", "# nothing\n"],
  ["a byte order mark", "\ufefflog:\n  level: warn\n"],
  ["lines that end as on Windows", "log:\r\n  level: warn\r\n"],
])("%s is good", async (name, content) => {
  const path = join(folder, `${name.replaceAll(" ", "-")}.yaml`);
  writeFileSync(path, content);
  expect(await run("im-gateway", ["check-config", "--config", path])).toEqual({
    code: 0,
    output: "The configuration is good.",
  });
});
