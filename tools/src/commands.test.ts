// The shell scripts that stand around everything else: bin/, tools/check-machine.sh, the Makefile, .ci/run.
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

/** What a launcher runs its command on, with what it says and takes of a machine's own. */
const runtimes = {
  node: {
    brought: `node_modules/node-${process.platform}-${process.arch}/bin/node`,
    prefix: "v",
    tooOld: "22.21.9",
    lowest: "22.22.0",
    needed: "Node 22.22",
    option: "--disable-warning=ExperimentalWarning",
  },
  bun: {
    brought: `node_modules/@oven/bun-${process.platform}-${process.arch.replace("arm64", "aarch64")}/bin/bun`,
    prefix: "",
    tooOld: "1.3.99",
    lowest: "1.4.0",
    needed: "Bun 1.4",
    option: "--no-env-file",
  },
} as const;

describe.each([
  { name: "im-gateway", main: "packages/server-node/dist/main.js", runtime: "node" },
  { name: "im-gateway-bun", main: "packages/server-bun/dist/main.js", runtime: "bun" },
  { name: "im-logic", main: "packages/logic/dist/main.js", runtime: "node" },
] as const)("bin/$name", ({ name, main, runtime }) => {
  const { brought, prefix, tooOld, lowest, needed, option } = runtimes[runtime];
  const echo = `console.log(JSON.stringify([process.argv.slice(2), process.execArgv])); setInterval(() => {}, 1000);`;
  const bring = (): void => {
    mkdirSync(dirname(join(root, brought)), { recursive: true });
    symlinkSync(join(repository, brought), join(root, brought));
  };
  beforeEach(() => cpSync(join(repository, "bin"), join(root, "bin"), { recursive: true }));

  it("says that it is not built", async () => {
    expect(await run(`bin/${name}`)).toEqual({
      code: 1,
      output: [`${join(root, main)} is not built: run make build first`],
    });
  });

  it("becomes the built command, through symbolic links too", async () => {
    write(main, echo);
    bring();
    mkdirSync(join(root, "elsewhere"));
    symlinkSync(join(root, "bin", name), join(root, "elsewhere/absolute"));
    symlinkSync("absolute", join(root, "elsewhere/relative"));
    const part = start("elsewhere/relative", ["serve", "--set", "a=b c"]);
    const [args, options] = JSON.parse(await part.waitForLine(/^\[/, 5000));
    expect(args).toEqual(["serve", "--set", "a=b c"]);
    expect(options).toContain(option);
    process.kill(part.pid, "SIGTERM");
    expect(await part.exited).toEqual({ code: null, signal: "SIGTERM" });
  });

  it("prefers the repository's runtime, and refuses one that is too old", async () => {
    write(main, echo);
    const fake = (found: string): string =>
      `if [ "$1" = --version ]; then echo ${prefix}${found}; else echo "ran $*"; fi`;
    const PATH = programs({ [runtime]: fake(tooOld) });
    const refused = await run(`bin/${name}`, [], { PATH });
    expect(refused.code).toBe(1);
    expect(refused.output[0]).toContain(`${needed} or newer is needed (found: ${tooOld})`);
    write(`programs/${runtime}`, `#!/bin/sh\n${fake(lowest)}\n`);
    expect((await run(`bin/${name}`, ["x"], { PATH })).output[0]).toMatch(/^ran .*main\.js x$/);
    write(brought, '#!/bin/sh\necho "brought $*"\n');
    expect((await run(`bin/${name}`, ["x"], { PATH })).output[0]).toMatch(/^brought .*main\.js x$/);
  });

  it("says what is needed where there is none", async () => {
    write(main, echo);
    const { code, output } = await run(`bin/${name}`, [], { PATH: programs({}) });
    expect(code).toBe(1);
    expect(output[0]).toContain(`${needed} or newer is needed (found: none)`);
  });
});

describe("im-gateway-bun", () => {
  it("takes nothing from the folder that it is started in but its own configuration", async () => {
    write("bunfig.toml", 'preload = ["./preload.js"]\n');
    write("preload.js", 'console.log("preloaded");\n');
    write(".env", "LOG_LEVEL=nonsense\n");
    const part = startProcess({
      name: "print-config",
      command: join(repository, "bin/im-gateway-bun"),
      args: ["print-config"],
      env: { LOG_LEVEL: undefined },
      cwd: root,
    });
    parts.push(part);
    expect((await part.exited).code).toBe(0);
    expect(part.output).toContain('log.level = "info"  # default');
    expect(part.output).not.toContain("preloaded");
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

  it.each(["run", "test", "chaos", "bench", "dev"])("is silent when nothing lacks for make %s", async (purpose) => {
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

  it.each([
    ["chaos", ["Java 17 or newer", "Maven", "Python 3 with pip", "ps"]],
    ["bench", ["Java 17 or newer", "Maven", "ps"]],
  ])("names the target, and asks for what make %s needs", async (purpose, lacking) => {
    const PATH = programs({ node: "echo v20.0.0", npm: "", git: "" });
    const { code, output } = await run("check-machine.sh", [purpose], { PATH });
    expect(code).toBe(1);
    expect(output).toContain(`make ${purpose} needs what this machine lacks:`);
    expect(output.filter((line) => line.startsWith("  - "))).toEqual(lacking.map((name) => `  - ${name}`));
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

describe("Makefile", () => {
  it.each([
    [["test"], "test", ""],
    [["chaos"], "chaos", " kafka etcd"],
    [["bench"], "bench", " kafka"],
    [["chaos", "ARGS=--help"], "chaos", undefined],
    [["bench", "ARGS=--runs 5 --help"], "bench", undefined],
  ])("make %j looks for and fetches what it needs", async (args, purpose, fetched) => {
    const part = startProcess({
      name: "make",
      command: "make",
      args: ["--dry-run", "--no-print-directory", "-C", repository, ...args],
      // Of a make that runs these tests.
      env: { MAKEFLAGS: undefined },
    });
    parts.push(part);
    expect((await part.exited).code).toBe(0);
    expect(part.output).toContain(`tools/check-machine.sh ${purpose}`);
    const fetching = part.output.filter((line) => line.includes("install-parts.ts"));
    expect(fetching).toEqual(fetched === undefined ? [] : [`node tools/src/install-parts.ts${fetched}`]);
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
