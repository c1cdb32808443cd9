// What the whole package costs a page.
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { expect, test } from "vitest";

const maxBytes = 10 * 1024;

async function bundle(code: string): Promise<string> {
  const entry = join(import.meta.dirname, "entry.ts");
  const build = await rolldown({
    input: entry,
    plugins: [
      {
        name: "entry",
        resolveId: (id) => (id === entry ? id : null),
        load: (id) => (id === entry ? code : null),
      },
    ],
  });
  const { output } = await build.generate({ format: "esm", minify: true });
  await build.close();
  expect(output).toHaveLength(1);
  expect(output[0].imports).toEqual([]);
  return output[0].code;
}

test(`all of it is at most ${maxBytes} bytes, bundled, minified and gzipped`, async () => {
  const code = await bundle('export * from "./index.ts";');
  expect(code).toContain("/api/v1/auth/login");
  expect(gzipSync(code).length).toBeLessThanOrEqual(maxBytes);
});

test("who takes an enum only takes nothing else along", async () => {
  const code = await bundle('export { MessageType } from "./index.ts";');
  expect(code.length).toBeLessThan(200);
});
