// The shell scripts that stand around everything else: bin/, tools/check-machine.sh, .ci/run.
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Part, startProcess } from "./process.ts";

const repository = join(import.meta.dirname, "../..");

let root: string;
let parts: Part[];
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "im-gateway commands-")));
  parts = [];
});
afterEach(async () => {
  await Promise.all(parts.map((part) => part.kill()));
  rmSync(root, { recursive: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  chmodSync(join(root, path), 0o755);
}

function start(command: string, args: readonly string[] = [], env: Record<string, string> = {}): Part {
  const part = startProcess({ name: command, command: join(root, command), args, env, cwd: tmpdir() });
  parts.push(part);
  return part;
}

async function run(...call: Parameters<typeof start>): Promise<{ code: number | null; output: string[] }> {
  const part = start(...call);
  const { code } = await part.exited;
  return { code, output: [...part.output] };
}

/** A folder of programs: some fakes, and the machine's own that scripts need. */
function programs(fakes: Readonly<Record<string, string>>): string {
  mkdirSync(join(root, "programs"));
  for (const [name, script] of Object.entries(fakes)) write(`programs/${name}`, `#!/bin/sh\n${script}\n`);
  for (const name of ["sed", "head", "grep", "dirname", "readlink", "uname"]) {
    const found = (process.env.PATH ?? "").split(delimiter).find((folder) => existsSync(join(folder, name)));
    if (found !== undefined) symlinkSync(join(found, name), join(root, "programs", name));
  }
  return join(root, "programs");
}

describe.each([
  { name: "im-gateway", main: "packages/server-node/dist/main.js" },
  { name: "im-logic", main: "packages/logic/dist/main.js" },
])("bin/$name", ({ name, main }) => {
  const echo = `console.log(JSON.stringify([process.argv.slice(2), process.execArgv])); setInterval(() => {}, 1000);`;
  beforeEach(() => cpSync(join(repository, "bin"), join(root, "bin"), { recursive: true }));

  it("says that it is not built", async () => {
    expect(await run(`bin/${name}`)).toEqual({
      code: 1,
      output: [`${join(root, main)} is not built: run make build first`],
    });
  });

  it("becomes the built command, through symbolic links too", async () => {
    write(main, echo);
    mkdirSync(join(root, "elsewhere"));
    symlinkSync(join(root, "bin", name), join(root, "elsewhere/absolute"));
    symlinkSync("absolute", join(root, "elsewhere/relative"));
    const part = start("elsewhere/relative", ["serve", "--set", "a=b c"]);
    const [args, nodeOptions] = JSON.parse(await part.waitForLine(/^\[/, 5000));
    expect(args).toEqual(["serve", "--set", "a=b c"]);
    expect(nodeOptions).toContain("--disable-warning=ExperimentalWarning");
    process.kill(part.pid, "SIGTERM");
    expect(await part.exited).toEqual({ code: null, signal: "SIGTERM" });
  });

  it("prefers the repository's Node, and refuses one that is too old", async () => {
    write(main, echo);
    const PATH = programs({ node: 'if [ "$1" = -p ]; then echo 22.21.9; else echo "ran $*"; fi' });
    const refused = await run(`bin/${name}`, [], { PATH });
    expect(refused.code).toBe(1);
    expect(refused.output[0]).toMatch(/Node 22\.22 or newer is needed \(found: 22\.21\.9\)/);
    write("programs/node", '#!/bin/sh\nif [ "$1" = -p ]; then echo 22.22.0; else echo "ran $*"; fi\n');
    expect((await run(`bin/${name}`, ["x"], { PATH })).output[0]).toMatch(/^ran .*main\.js x$/);
    const platform = `${process.platform}-${process.arch}`;
    write(`node_modules/node-${platform}/bin/node`, '#!/bin/sh\necho "brought $*"\n');
    expect((await run(`bin/${name}`, ["x"], { PATH })).output[0]).toMatch(/^brought .*main\.js x$/);
  });
});

describe("tools/check-machine.sh", () => {
  const all = {
    node: "echo v20.0.0",
    npm: "",
    git: "",
    java: `echo 'openjdk version "17.0.15" 2025-04-15' >&2`,
    mvn: "",
    python3: "",
    ps: "",
  };
  beforeEach(() => cpSync(join(repository, "tools/check-machine.sh"), join(root, "check-machine.sh")));

  it.each(["run", "test", "dev"])("is silent when nothing lacks for make %s", async (purpose) => {
    expect(await run("check-machine.sh", [purpose], { PATH: programs(all) })).toEqual({ code: 0, output: [] });
  });

  it("names all that lacks at once", async () => {
    const PATH = programs({ node: "echo v18.19.1", java: `echo 'java version "1.8.0_402"' >&2`, python3: "exit 1" });
    const { code, output } = await run("check-machine.sh", ["test"], { PATH });
    expect(code).toBe(1);
    expect(output.filter((line) => line.startsWith("  - "))).toEqual([
      "  - Node 20 or newer (this is 18)",
      "  - npm",
      "  - git",
      "  - Java 17 or newer (this is 1)",
      "  - Maven",
      "  - pip of Python 3",
      "  - ps",
    ]);
  });

  it("asks for no Kafka of its own for make dev where a Docker engine answers", async () => {
    const { code, output } = await run("check-machine.sh", ["dev"], {
      PATH: programs({ node: "echo v20.0.0", npm: "", git: "", docker: "" }),
    });
    expect({ code, output }).toEqual({ code: 0, output: [] });
  });

  it("asks for less when only running", async () => {
    const { code, output } = await run("check-machine.sh", ["run"], { PATH: programs({}) });
    expect(code).toBe(1);
    expect(output.filter((line) => line.startsWith("  - "))).toEqual(["  - Node 20 or newer", "  - npm", "  - git"]);
  });
});

describe(".ci/run", () => {
  beforeEach(() => cpSync(join(repository, ".ci"), join(root, ".ci"), { recursive: true }));

  it.each([
    {
      what: "all passed",
      recipe: "@echo '3 passed, 0 failed, 1 skipped'",
      last: "3 passed, 0 failed, 1 skipped",
      code: 0,
    },
    {
      what: "a test failed",
      recipe: "@echo '3 passed, 2 failed, 1 skipped'; exit 1",
      last: "3 passed, 2 failed, 1 skipped",
      code: 2,
    },
    { what: "it failed before the tests", recipe: "@echo no; exit 7", last: "0 passed, 1 failed, 0 skipped", code: 2 },
    {
      what: "it failed after the tests",
      recipe: "@echo '3 passed, 0 failed, 0 skipped'; exit 1",
      last: "3 passed, 1 failed, 0 skipped",
      code: 2,
    },
  ])("ends with the totals and make's exit code when $what", async ({ recipe, last, code }) => {
    write("Makefile", `test:\n\t${recipe}\n`);
    const result = await run(".ci/run");
    expect([result.code, result.output.at(-1)]).toEqual([code, last]);
  });
});
