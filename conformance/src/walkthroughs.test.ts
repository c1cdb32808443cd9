// docs/adding-an-api.md and docs/adding-a-frame.md, done as they say with a copy of this repository.
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Part, startProcess } from "@im-gateway/tools/process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asRecord, connect, register, rest, type User } from "./client.ts";
import type { GatewayAddress } from "./world.ts";
import { freeGateway } from "./worlds/program.ts";

const repository = join(import.meta.dirname, "../..");
const buildTimeoutMs = 240_000;

interface Walkthrough {
  readonly gateway: GatewayAddress;
  /** Of the copy. */
  readonly folder: string;
  stop(): Promise<void>;
}

describe("docs/adding-an-api.md", () => {
  const walkthrough = walk("adding-an-api.md");

  test("the route, the call and the documents have the new method", async () => {
    const { gateway } = walkthrough();
    const user = await register(gateway, "taken");
    const taken = await rest(gateway, "GET", `/usernames/${user.username}`);
    expect(taken).toMatchObject({ status: 200, body: { username: user.username, available: false } });
    const free = await rest(gateway, "GET", "/usernames/nobody-has-this");
    expect(free).toMatchObject({ status: 200, body: { available: true } });
    const long = await rest(gateway, "GET", `/usernames/${"x".repeat(65)}`);
    expect(long).toMatchObject({ status: 400, body: { code: "invalid_argument" } });
    const socket = await connect(gateway, user);
    const request = { method: "im.logic.v1.UserService/CheckUsername", request: { username: user.username } };
    const id = socket.send("call", request);
    const reply = await socket.next("reply", (frame) => frame.message_id === id);
    expect(reply.data.response).toEqual({ username: user.username, available: false });
    await socket.close();
    const { paths } = asRecord(await (await fetch(`${gateway.http}/openapi.json`)).json());
    expect(Object.keys(asRecord(paths))).toContain("/api/v1/usernames/{username}");
  });

  test("and so has the SDK", async () => {
    const { gateway, folder } = walkthrough();
    const user = await register(gateway, "sdk");
    const lines = await withClient(
      folder,
      gateway,
      user,
      `console.log(JSON.stringify(await im.user.checkUsername({ username: "nobody-has-this" })));`,
    );
    expect(JSON.parse(lines)).toEqual({ username: "nobody-has-this", available: true });
  });
});

describe("docs/adding-a-frame.md", () => {
  const walkthrough = walk("adding-a-frame.md");

  test("the new frames go both ways, and the document has them", async () => {
    const { gateway } = walkthrough();
    const user = await register(gateway, "framed");
    const socket = await connect(gateway, user);
    const id = socket.send("set-nickname", { nickname: "Al" });
    expect((await socket.next("ack", (frame) => frame.message_id === id)).data).toEqual({});
    const me = await rest(gateway, "GET", "/users/me", { token: user.accessToken });
    expect(me.body.nickname).toBe("Al");
    const missing = socket.send("set-nickname", {});
    const refused = await socket.next("error", (frame) => frame.message_id === missing);
    expect(refused.data).toMatchObject({ code: "invalid_argument", message: "nickname: is required" });
    await announce(gateway);
    expect((await socket.next("announcement")).data).toEqual({ text: "Back at noon" });
    await socket.close();
    const text = await (await fetch(`${gateway.http}/asyncapi.json`)).text();
    expect(text).toContain("set-nickname");
    expect(text).toContain("announcement");
  });

  test("and so has the SDK", async () => {
    const { gateway, folder } = walkthrough();
    const user = await register(gateway, "sdk");
    const printed = await withClient(
      folder,
      gateway,
      user,
      `const came = new Promise((resolve) => im.on("announcement", ({ text }) => resolve(text)));
       await fetch("${gateway.internal}/internal/v1/broadcast", {
         method: "POST",
         headers: { "content-type": "application/json" },
         body: JSON.stringify({ frame: { type: "announcement", data: { text: "Back at noon" } } }),
       });
       console.log(await came);`,
    );
    expect(printed.trim()).toBe("Back at noon");
  });
});

async function announce(gateway: GatewayAddress): Promise<void> {
  const body = { frame: { type: "announcement", data: { text: "Back at noon" } } };
  const response = await fetch(`${gateway.internal}/internal/v1/broadcast`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
}

/** Applies the page's edits to a copy, generates, builds and starts a gateway; what was made is gone afterwards. */
function walk(page: string): () => Walkthrough {
  let walked: Walkthrough | undefined;
  beforeAll(async () => {
    const folder = await copyRepository();
    const edits = editsOf(await readFile(join(repository, "docs", page), "utf8"));
    expect(edits.length).toBeGreaterThan(0);
    for (const edit of edits) {
      await apply(folder, edit);
    }
    // What is installed is this clone's: nothing is installed anew.
    await inCopy(folder, "make", ["generate", "build", "--assume-old=node_modules/.installed"]);
    const { gateway, settings } = await freeGateway();
    const program: Part = startProcess({
      name: page,
      command: join(folder, "bin/im-gateway"),
      args: settings.flatMap((setting) => ["--set", setting]),
      scratch: folder,
    });
    await program.waitForLine(/"message":"listening"/, 30_000);
    walked = {
      gateway,
      folder,
      async stop() {
        expect((await program.stop()).code).toBe(0);
        await rm(folder, { recursive: true });
      },
    };
  }, buildTimeoutMs);
  afterAll(async () => {
    await walked?.stop();
  });
  return () => {
    if (walked === undefined) {
      throw new Error(`the copy for ${page} did not start`);
    }
    return walked;
  };
}

interface Edit {
  readonly file: string;
  /** The text is put after the first line that is this; undefined: at the end. */
  readonly after: string | undefined;
  readonly text: string;
}

function editsOf(page: string): readonly Edit[] {
  const marks = page.matchAll(/<!-- edit: (\S+) (?:after "([^"]+)"|at end) -->\n```\w+\n([\s\S]*?)```\n/g);
  return [...marks].map(([, file = "", after, text = ""]) => ({ file, after, text }));
}

async function apply(folder: string, { file, after, text }: Edit): Promise<void> {
  const path = join(folder, file);
  const before = await readFile(path, "utf8");
  const line = after === undefined ? "" : `\n${after}\n`;
  if (!before.includes(line)) {
    throw new Error(`${file} has no line ${JSON.stringify(after)}`);
  }
  const edited = after === undefined ? before + text : before.replace(line, () => line + text);
  await writeFile(path, edited);
}

/** As a clone would have it, with what this one has installed. */
async function copyRepository(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "im-gateway-walkthrough-"));
  const left = new Set([".git", ".cache", ".tools", "node_modules", "dist"]);
  await cp(repository, folder, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => source === repository || !left.has(source.slice(source.lastIndexOf("/") + 1)),
  });
  // Its own links between packages, so that it does not use this clone's; other packages are where they are.
  for (const parent of ["", "packages", "examples"]) {
    const names = await readdir(join(repository, parent)).catch(() => []);
    for (const name of names.filter((name) => !left.has(name))) {
      const modules = join(parent, name, "node_modules");
      await cp(join(repository, modules), join(folder, modules), { recursive: true, verbatimSymlinks: true }).catch(
        ignoreMissing,
      );
    }
  }
  for (const name of ["node_modules", ".tools"]) {
    await symlink(join(repository, name), join(folder, name));
  }
  return folder;
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT" && error.code !== "ENOTDIR") {
    throw error;
  }
}

async function inCopy(folder: string, command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { cwd: folder, timeout: buildTimeoutMs });
  return stdout;
}

/** Runs a script with `im`, a connected client of the copy's SDK. @returns what it printed */
async function withClient(folder: string, gateway: GatewayAddress, user: User, script: string): Promise<string> {
  const path = join(folder, "script.mjs");
  const program = `
    import { createClient } from "./packages/client-sdk/dist/index.js";
    const im = createClient({ url: ${JSON.stringify(gateway.http)}, getToken: () => process.env.TOKEN });
    await im.connect();
    ${script}
    im.close();
  `;
  await writeFile(path, program);
  const run = promisify(execFile)(process.execPath, [path], {
    cwd: folder,
    timeout: 20_000,
    env: { ...process.env, TOKEN: user.accessToken },
  });
  return (await run).stdout;
}
