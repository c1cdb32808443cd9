// "In your own service" of the READMEs, done as it says: the text compiles as a package of this workspace, and what it starts ends again.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { createEtcdRegistry } from "@im-gateway/adapters/etcd";
import { type Etcd, startEtcd } from "@im-gateway/tools/etcd";
import { type Kafka, startKafka } from "@im-gateway/tools/kafka";
import { freePort, type Part, startProcess, waitFor } from "@im-gateway/tools/process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const repository = join(import.meta.dirname, "../..");
const packages = ["core", "adapters", "server-node"];
const secret = "a secret that only this test knows, of 32 bytes";

let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "im-gateway-embedding-")));
  await write("package.json", JSON.stringify({ name: "my-service", private: true, type: "module" }));
  await write(
    "tsconfig.json",
    JSON.stringify({
      extends: join(repository, "tsconfig.base.json"),
      compilerOptions: { rootDir: "src", outDir: "dist", types: ["node"] },
      include: ["src"],
      references: packages.map((name) => ({ path: join(repository, "packages", name) })),
    }),
  );
  // What pnpm would link.
  for (const name of packages) await link(join("packages", name), join("@im-gateway", name));
  await link("node_modules/@types/node", "@types/node");
  await write(
    "src/main.ts",
    `import { startGateway } from "./index.ts";
     const stop = await startGateway(${JSON.stringify(secret)}).catch((error: unknown) => console.log("rejected", String(error)));
     console.log("here");
     process.once("SIGTERM", () => void stop?.());`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

async function link(target: string, name: string): Promise<void> {
  const path = join(folder, "node_modules", name);
  await mkdir(dirname(path), { recursive: true });
  await symlink(await realpath(join(repository, target)), path);
}

async function snippetOf(readme: string): Promise<string> {
  const text = await readFile(join(repository, readme), "utf8");
  const snippet = text.split("```").find((part) => part.startsWith("ts\n") && part.includes("serveGateway"));
  if (snippet === undefined) throw new Error(`${readme} has no snippet`);
  return snippet.slice("ts\n".length);
}

interface Surroundings {
  readonly port: number;
  readonly etcd: string;
  readonly kafka: string;
  readonly patienceMs: number;
}

/** A process of its own that does what the text says, in other surroundings. */
async function run({ port, etcd, kafka, patienceMs }: Surroundings): Promise<Part> {
  const changes: readonly [string, string][] = [
    ["port: 8080", `port: ${port}`],
    ['"localhost:2379"', JSON.stringify(etcd)],
    ['"localhost:9092"', JSON.stringify(kafka)],
    ["AbortSignal.timeout(10_000)", `AbortSignal.timeout(${patienceMs})`],
    ['"10.0.0.7"', '"127.0.0.1"'],
  ];
  let text = await snippetOf("README.md");
  for (const [from, to] of changes) {
    expect(text).toContain(from);
    text = text.replace(from, to);
  }
  await write("src/index.ts", text);
  return startProcess({
    name: "my-service",
    command: process.execPath,
    args: ["--conditions=@im-gateway/source", "--disable-warning=TimeoutNegativeWarning", "src/main.ts"],
    cwd: folder,
  });
}

/** Where nobody listens. */
const nowhere = async (): Promise<string> => `127.0.0.1:${await freePort()}`;

const rejection = (part: Part): Promise<string> => part.waitForLine(/^rejected /, 10_000);

describe("the snippet", () => {
  it("is the same in both READMEs, but for its comments", async () => {
    const bare = async (readme: string): Promise<string> => (await snippetOf(readme)).replaceAll(/ \/\/.*/g, "");
    expect(await bare("README.zh-CN.md")).toBe(await bare("README.md"));
  });

  it("compiles with the workspace's options, and is written in its style", async () => {
    const tool = (name: string, ...args: string[]): Promise<unknown> =>
      promisify(execFile)(join(repository, "node_modules/.bin", name), args, { cwd: folder, timeout: 120_000 });
    await write("src/index.ts", await snippetOf("README.md"));
    await tool("tsc", "-b", "--pretty", "false");
    await tool(
      "biome",
      "ci",
      "--error-on-warnings",
      `--config-path=${repository}`,
      "--vcs-enabled=false",
      "src/index.ts",
    );
  }, 130_000);

  it("says which etcd it waited for in vain, and leaves nothing running", async () => {
    const [port, etcd] = [await freePort(), await nowhere()];
    const part = await run({ port, etcd, kafka: await nowhere(), patienceMs: 500 });
    expect(await rejection(part)).toContain(`etcd does not answer at ${etcd}`);
    await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow();
    expect(await part.exited).toEqual({ code: 0, signal: null });
  });

  it("leaves nothing running when its port is taken", async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, () => {
        const address = holder.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    const part = await run({ port, etcd: await nowhere(), kafka: await nowhere(), patienceMs: 500 });
    expect(await rejection(part)).toContain("EADDRINUSE");
    expect(await part.exited).toEqual({ code: 0, signal: null });
    await new Promise((resolve) => holder.close(resolve));
  });
});

describe("with Kafka and etcd", () => {
  let kafka: Kafka;
  let etcd: Etcd;
  beforeAll(async () => {
    [kafka, etcd] = await Promise.all([startKafka(), startEtcd()]);
  });
  afterAll(() => Promise.all([kafka.stop(), etcd.stop()]));

  it("becomes ready, and gives everything back when it is stopped", async () => {
    const port = await freePort();
    const part = await run({ port, etcd: etcd.endpoints.join(), kafka: kafka.brokers.join(), patienceMs: 10_000 });
    await part.waitForLine(/^here/, 15_000);
    const ready = (): Promise<boolean> => fetch(`http://127.0.0.1:${port}/ready`).then((response) => response.ok);
    await waitFor(ready, { timeoutMs: 15_000, what: "the gateway to be ready" });
    const registry = createEtcdRegistry({ endpoints: etcd.endpoints, log: () => {} });
    const seen: string[] = [];
    void registry.watch(
      "im-gateway",
      (list) => seen.push(list.map(({ id }) => id).join()),
      new AbortController().signal,
    );
    await waitFor(() => seen.at(-1) === "gateway-001", { timeoutMs: 5_000, what: "its key" });
    process.kill(part.pid, "SIGTERM");
    expect(await part.exited).toEqual({ code: 0, signal: null });
    // By itself the key would stay until its lease ends.
    await waitFor(() => seen.at(-1) === "", { timeoutMs: 3_000, what: "its key to go" });
    await registry.close();
  }, 60_000);
});
