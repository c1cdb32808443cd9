import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { checkImports } from "./import-rules.ts";
import { importsOf } from "./imports.ts";

let root = "";
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A workspace of every package, each with one clean file; `files` are laid over it, `dependencies` added to the packages' own. */
function tree(
  files: Readonly<Record<string, string>>,
  dependencies: Readonly<Record<string, readonly string[]>> = {},
): string {
  root = mkdtempSync(join(tmpdir(), "im-gateway-imports-"));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const folders = {
    proto: "proto",
    core: "packages/core",
    adapters: "packages/adapters",
    logic: "packages/logic",
    "server-node": "packages/server-node",
    "client-sdk": "packages/client-sdk",
    tools: "tools",
    conformance: "conformance",
  };
  for (const [name, folder] of Object.entries(folders)) {
    write(
      `${folder}/package.json`,
      JSON.stringify({
        name: `@im-gateway/${name}`,
        exports: {
          ".": { "@im-gateway/source": "./src/index.ts", default: "./dist/index.js" },
          "./extra": "./src/extra.ts",
        },
        dependencies: Object.fromEntries((dependencies[folder] ?? []).map((dependency) => [dependency, "1.0.0"])),
        devDependencies: { vitest: "1.0.0" },
      }),
    );
    write(`${folder}/src/index.ts`, "export const answer = 42;\n");
  }
  for (const [path, text] of Object.entries(files)) write(path, text);
  return root;
}

const proto = "@im-gateway/proto";
const core = "@im-gateway/core";
const adapters = "@im-gateway/adapters";
const logic = "@im-gateway/logic";
const server = "@im-gateway/server-node";
const tools = "@im-gateway/tools";

interface Case {
  readonly what: string;
  readonly files: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, readonly string[]>>;
  readonly violations: readonly string[];
}

const cases: readonly Case[] = [
  {
    what: "accepts the directions as they are",
    files: {
      "packages/core/src/a.ts": `import { answer } from "${proto}"; import type { T } from "./index.ts"; import { Code } from "@connectrpc/connect";`,
      "packages/adapters/src/a.ts": `import "node:fs"; import "${core}"; import "${proto}"; import "kafkajs";`,
      "packages/logic/src/a.ts": `import "node:sqlite"; import "${adapters}/extra"; import "${core}";`,
      "packages/server-node/src/a.ts": `import "${logic}"; import "${adapters}"; import "${core}"; import "ws";`,
      "packages/core/src/a.test.ts": `import "vitest"; import "node:fs"; import "${tools}/process"; import "./index.ts";`,
      "conformance/src/a.ts": `import "vitest"; import "${tools}"; import "${logic}";`,
    },
    dependencies: {
      "packages/core": [proto, "@connectrpc/connect", tools],
      "packages/adapters": [core, proto, "kafkajs"],
      "packages/logic": [adapters, core],
      "packages/server-node": [logic, adapters, core, "ws"],
      conformance: [tools, logic],
    },
    violations: [],
  },
  {
    what: "finds imports against the direction",
    files: {
      "proto/src/a.ts": `import "${core}";`,
      "packages/core/src/a.ts": `\n\nimport type { A } from "${adapters}";`,
      "packages/adapters/src/a.ts": `export * from "${logic}";`,
      "packages/client-sdk/src/a.ts": `type A = import("${core}").A;`,
      "tools/src/a.ts": `await import("${proto}");`,
    },
    dependencies: {
      proto: [core],
      "packages/core": [adapters],
      "packages/adapters": [logic],
      "packages/client-sdk": [core],
      tools: [proto],
    },
    violations: [
      `packages/adapters/src/a.ts:1: "${logic}" in ${adapters}, which may import only proto, core`,
      `packages/client-sdk/src/a.ts:1: "${core}" in @im-gateway/client-sdk, which may import only proto`,
      `packages/core/src/a.ts:3: "${adapters}" in ${core}, which may import only proto`,
      `proto/src/a.ts:1: "${core}" in ${proto}, which may import no other package`,
      `tools/src/a.ts:1: "${proto}" in ${tools}, which may import no other package`,
    ],
  },
  {
    what: "finds imports of a server, in tests too",
    files: {
      "packages/logic/src/a.test.ts": `import "${server}";`,
      "conformance/src/a.ts": `import "${server}/extra";`,
    },
    dependencies: { "packages/logic": [server], conformance: [server] },
    violations: [
      `conformance/src/a.ts:1: "${server}/extra": nothing imports a server`,
      `packages/logic/src/a.test.ts:1: "${server}": nothing imports a server`,
    ],
  },
  {
    what: "finds tools in what is not a test",
    files: { "packages/logic/src/a.ts": `import "${tools}/process";` },
    dependencies: { "packages/logic": [tools] },
    violations: [
      `packages/logic/src/a.ts:1: "${tools}/process" in ${logic}, which may import only proto, core, adapters`,
    ],
  },
  {
    what: "finds what core may not name, not even as a type",
    files: {
      "packages/core/src/a.ts": [
        `import type { Kafka } from "kafkajs";`,
        `import type { Etcd3 } from "etcd3";`,
        `type T = import("@connectrpc/connect-node").T;`,
        `export type { WebSocket } from "ws";`,
        `const grpc = await import("@grpc/grpc-js");`,
        `import { readFileSync } from "node:fs";`,
        `import type { Socket } from "net";`,
      ].join("\n"),
      "packages/core/src/a.test.ts": `import "kafkajs";`,
      "proto/src/a.ts": `import "node:fs";`,
    },
    dependencies: { "packages/core": ["kafkajs", "etcd3", "@connectrpc/connect-node", "ws", "@grpc/grpc-js"] },
    violations: [
      ...["kafkajs", "etcd3", "@connectrpc/connect-node", "ws", "@grpc/grpc-js"].map(
        (name, index) =>
          `packages/core/src/a.ts:${index + 1}: "${name}" in ${core}, which sees Web standards only: a vendor's client belongs behind an adapter`,
      ),
      `packages/core/src/a.ts:6: "node:fs" in ${core}, which sees Web standards only`,
      `packages/core/src/a.ts:7: "net" in ${core}, which sees Web standards only`,
      `packages/core/src/a.test.ts:1: "kafkajs" in ${core}, which sees Web standards only: a vendor's client belongs behind an adapter`,
      `proto/src/a.ts:1: "node:fs" in ${proto}, which sees Web standards only`,
    ],
  },
  {
    what: "finds a cycle of types within a package",
    files: {
      "packages/core/src/a.ts": `import type { B } from "./deep/b.ts";`,
      "packages/core/src/deep/b.ts": `\nimport type { C } from "../c.ts";`,
      "packages/core/src/c.ts": `export type { A } from "./a.ts";`,
      "packages/core/src/d.ts": `import "./a.ts"; import "./c.ts";`,
    },
    violations: [
      "packages/core/src/c.ts:1: closes a cycle: packages/core/src/a.ts → packages/core/src/deep/b.ts → packages/core/src/c.ts → packages/core/src/a.ts",
    ],
  },
  {
    what: "finds a file that imports itself by its package's name",
    files: { "packages/core/src/index.ts": `import type { A } from "${core}";` },
    violations: [
      "packages/core/src/index.ts:1: closes a cycle: packages/core/src/index.ts → packages/core/src/index.ts",
    ],
  },
  {
    what: "finds a cycle through the names of packages",
    files: {
      "packages/core/src/index.ts": `export * from "./a.ts";`,
      "packages/core/src/a.ts": `import type { A } from "${adapters}/extra";`,
      "packages/adapters/src/extra.ts": `import type { A } from "${core}";`,
    },
    dependencies: { "packages/core": [adapters], "packages/adapters": [core] },
    violations: [
      "packages/core/src/a.ts:1: closes a cycle: packages/adapters/src/extra.ts → packages/core/src/index.ts → packages/core/src/a.ts → packages/adapters/src/extra.ts",
      `packages/core/src/a.ts:1: "${adapters}/extra" in ${core}, which may import only proto`,
    ],
  },
  {
    what: "finds what is not declared, or only for development",
    files: {
      "packages/logic/src/a.ts": `import "jose/jwt"; import type { A } from "@bufbuild/protobuf/wkt"; import "vitest";`,
      "packages/logic/src/a.test.ts": `import "vitest"; import "fast-check";`,
      "tools/src/a.ts": `import "vitest/node";`,
      "packages/adapters/src/a.ts": `import "${core}";`,
    },
    violations: [
      `packages/logic/src/a.ts:1: "jose/jwt" is not declared in packages/logic/package.json`,
      `packages/logic/src/a.ts:1: "@bufbuild/protobuf/wkt" is not declared in packages/logic/package.json`,
      `packages/logic/src/a.ts:1: "vitest" is only a devDependency of ${logic}; what is not a test needs it in dependencies`,
      `packages/logic/src/a.test.ts:1: "fast-check" is not declared in packages/logic/package.json`,
      `packages/adapters/src/a.ts:1: "${core}" is not declared in packages/adapters/package.json`,
    ],
  },
  {
    what: "finds paths into another package",
    files: {
      "packages/adapters/src/a.ts": `import "../../core/src/index.ts"; import "../package.json" with { type: "json" };`,
    },
    violations: [
      `packages/adapters/src/a.ts:1: "../../core/src/index.ts" leaves the package; import another package by its name`,
    ],
  },
  {
    what: "finds a package without a place",
    files: { "packages/extra/package.json": `{"name":"@im-gateway/extra"}` },
    violations: [
      "packages/extra/package.json:1: has no place in the directions; give it one in tools/src/import-rules.ts",
    ],
  },
  {
    what: "lets a service of another name import servers, and what it declares",
    files: {
      "packages/my-service/package.json": `{"name":"my-service","dependencies":{"${server}":"workspace:*"}}`,
      "packages/my-service/src/a.ts": `import "node:fs"; import "${server}"; import "${core}";`,
    },
    violations: [`packages/my-service/src/a.ts:1: "${core}" is not declared in packages/my-service/package.json`],
  },
  {
    what: "finds an import of such a service",
    files: {
      "packages/my-service/package.json": `{"name":"my-service"}`,
      "packages/logic/src/a.ts": `import "my-service";`,
    },
    dependencies: { "packages/logic": ["my-service"] },
    violations: [`packages/logic/src/a.ts:1: "my-service" in ${logic}, which may import only proto, core, adapters`],
  },
];

describe("checkImports", () => {
  it.each(cases)("$what", ({ files, dependencies, violations }) => {
    expect(checkImports(tree(files, dependencies))).toEqual([...violations].sort());
  });
});

describe("importsOf", () => {
  it("sees every way to name a module, and nothing in comments and strings", () => {
    const text = [
      `import a, { type B } from "1";`,
      `import type { C } from "2";`,
      `import "3";`,
      `export * from "4";`,
      `export type { D } from "5";`,
      `type E = import("6").E;`,
      `let f: typeof import("7");`,
      `import g = require("8");`,
      `const h = await import("9");`,
      "const i = await import(`10`);",
      `const j = require("11");`,
      `// import "no";`,
      `/* import("no") */`,
      'const k = `\nimport "no";\n`;',
      `const l = 'import("no")'; const m = /import "no"/;`,
      `export const n = 1;`,
    ].join("\n");
    const expected = Array.from({ length: 11 }, (_, index) => ({ specifier: String(index + 1), line: index + 1 }));
    expect(importsOf("a.ts", text)).toEqual(expected);
  });

  it("refuses a file that does not parse", () => {
    expect(() => importsOf("broken.ts", "import {")).toThrow(/broken\.ts/);
  });
});
