import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startProcess } from "./process.ts";

const root = join(import.meta.dirname, "../..");
const cases: readonly { what: string; files: Record<string, string>; line: string; code: number }[] = [
  {
    what: "tests that pass and tests that are left out",
    files: { a: `it("one", () => {}); it.skip("two", () => {}); it.todo("three");`, b: `it("four", () => {});` },
    line: "2 passed, 0 failed, 2 skipped",
    code: 0,
  },
  {
    what: "a test that fails",
    files: { a: `it("one", () => {}); it("two", () => { throw new Error("no"); });` },
    line: "1 passed, 1 failed, 0 skipped",
    code: 1,
  },
  {
    what: "a file that does not load",
    files: { a: `it("one", () => {});`, b: `import "./not-there.js"; it("two", () => {});` },
    line: "1 passed, 1 failed, 0 skipped",
    code: 1,
  },
  {
    what: "a hook that throws",
    files: { a: `describe("s", () => { beforeAll(() => { throw new Error("no"); }); it("one", () => {}); });` },
    line: "0 passed, 1 failed, 1 skipped",
    code: 1,
  },
  {
    what: "an error that nobody handles",
    files: {
      a: `it("one", async () => { setTimeout(() => { throw new Error("no"); }); await new Promise((r) => setTimeout(r, 50)); });`,
    },
    line: "1 passed, 1 failed, 0 skipped",
    code: 1,
  },
  {
    what: "output that comes late",
    files: { a: `it("one", () => {}); afterAll(() => console.log("late\\n".repeat(1000)));` },
    line: "1 passed, 0 failed, 0 skipped",
    code: 0,
  },
  { what: "no test at all", files: {}, line: "0 passed, 1 failed, 0 skipped", code: 1 },
];

it.concurrent.each(cases)("closes with the totals: $what", async ({ files, line, code }) => {
  const folder = mkdtempSync(join(tmpdir(), "im-gateway-totals-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `${name}.test.js`), text);
  const reporter = join(import.meta.dirname, "totals-reporter.ts");
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const part = startProcess({
    name: "vitest",
    // One pipe for both, so that their lines keep their order.
    command: "sh",
    args: [
      "-c",
      'exec "$@" 2>&1',
      "sh",
      process.execPath,
      vitest,
      "run",
      "--globals",
      "--root",
      folder,
      "--reporter=default",
      `--reporter=${reporter}`,
      "--maxWorkers=1",
    ],
  });
  const exit = await part.exited;
  rmSync(folder, { recursive: true });
  expect(exit.code).toBe(code);
  expect(part.output.at(-1)).toBe(line);
});
