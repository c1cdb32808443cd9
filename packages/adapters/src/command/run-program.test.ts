// How a program ends: its exit code, what it says of a failure, and that no log line is lost.
import { join } from "node:path";
import { startProcess } from "@im-gateway/tools/process";
import { expect, test } from "vitest";

const program = join(import.meta.dirname, "../../fixtures/ending-program.ts");

test.each([
  ["ends", 0, []],
  ["fails", 1, ["ending: port taken canary\\u000a\\u001b[31m"]],
  [
    "throws",
    1,
    [
      expect.stringMatching(
        /^ending: ended by a bug: \{"message":"a bug canary\\n\\u001b\[31m","stack":"at .*ending-program/,
      ),
    ],
  ],
  ["rejects", 1, [expect.stringMatching(/^ending: ended by a bug: \{"message":"a bug","stack":"at .*ending-program/)]],
])("%s: exit %i, and lines that were held back are written first", async (gatewayId, code, complaint) => {
  const output: Record<"stdout" | "stderr", string[]> = { stdout: [], stderr: [] };
  const part = startProcess({
    name: gatewayId,
    command: process.execPath,
    args: ["--conditions=@im-gateway/source", program, "--set", `gateway_id=${gatewayId}`],
    onLine: (line, stream) => output[stream].push(line),
  });
  expect((await part.exited).code).toBe(code);
  expect(output.stderr).toEqual(complaint);
  const lines = output.stdout.map((line) => JSON.parse(line));
  expect(lines).toHaveLength(11);
  expect(lines.at(-1)).toMatchObject({ message: "again", n: 25, suppressed: 14 });
  expect(output.stdout.join("")).not.toContain("secret");
});
