import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmdirSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { freePort, type Part, type ProcessOptions, startProcess, waitFor } from "./process.ts";

const parts: Part[] = [];
afterEach(async () => {
  await Promise.all(parts.splice(0).map((part) => part.kill()));
});

function start(options: Partial<ProcessOptions> & { script?: string }): Part {
  const { script = "", ...rest } = options;
  const part = startProcess({ name: "child", command: process.execPath, args: ["-e", script], ...rest });
  parts.push(part);
  return part;
}

/** The state letter (R, S, T, …); "" when it is gone or only waits to be reaped. */
function processState(pid: number): string {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
  const state = stdout.slice(0, 1);
  return state === "Z" ? "" : state;
}

function hasGroup(groupId: number): boolean {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pgid=,stat="], { encoding: "utf8" });
  return stdout.split("\n").some((line) => new RegExp(`^ *${groupId} +[^Z]`).test(line));
}

const isAlive = (pid: number): boolean => processState(pid) !== "";

const echoLines = `
  process.on("SIGTERM", () => { console.log("asked to stop"); process.exit(7); });
  process.stdin.on("data", (text) => console.log("in: " + text));
  console.error("to stderr");
  console.log("pid " + process.pid);
  setInterval(() => console.log("tick"), 20);
`;

describe("startProcess", () => {
  it("gives the command's own pid, its output and its exit", async () => {
    const part = start({ script: echoLines, stdin: "hello" });
    expect(await part.waitForLine(/^pid /, 5000)).toBe(`pid ${part.pid}`);
    await part.waitForLine((line) => line === "in: hello", 5000);
    await part.waitForLine(/to stderr/, 5000);
    expect(await part.stop()).toEqual({ code: 7, signal: null });
    expect(part.output).toContain("asked to stop");
    expect(isAlive(part.pid)).toBe(false);
    expect(await part.stop()).toEqual({ code: 7, signal: null });
  });

  it("passes arguments, environment and folder as they are", async () => {
    const script =
      "console.log(JSON.stringify([process.argv.slice(1), process.env.ONE, process.env.TWO, process.cwd()]))";
    process.env.TWO = "inherited";
    const part = start({
      args: ["-e", script, "a b", "$HOME", `'"`, ""],
      env: { ONE: "1 x", TWO: undefined },
      cwd: import.meta.dirname,
    });
    expect(await part.exited).toEqual({ code: 0, signal: null });
    expect(part.output).toEqual([JSON.stringify([["a b", "$HOME", `'"`, ""], "1 x", null, import.meta.dirname])]);
  });

  it("kills a process that does not stop in time", async () => {
    const part = start({ script: `process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)` });
    await part.waitForLine(/up/, 5000);
    expect(await part.stop(200)).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("freezes and thaws, and stops what is frozen", async () => {
    const part = start({ script: echoLines });
    await part.waitForLine(/tick/, 5000);
    part.freeze();
    await waitFor(() => processState(part.pid) === "T", { timeoutMs: 5000, what: "the process to be frozen" });
    part.thaw();
    await waitFor(() => processState(part.pid) !== "T", { timeoutMs: 5000, what: "the process to be thawed" });
    part.freeze();
    expect(await part.stop()).toEqual({ code: 7, signal: null });
  });

  it("says why a wait failed, with the output", async () => {
    const silent = start({ script: `console.log("half way"); setInterval(() => {}, 1000)` });
    await silent.waitForLine(/half way/, 5000);
    await expect(silent.waitForLine(/ready/, 50)).rejects.toThrow(
      /child: after 50 ms, no line matched \/ready\/[\s\S]*half way/,
    );
    const failing = start({ script: `console.error("bad config"); process.exit(3)` });
    await expect(failing.waitForLine(/ready/, 5000)).rejects.toThrow(/ended \(exit code 3\)[\s\S]*bad config/);
    await expect(failing.waitForLine(/ready/, 5000)).rejects.toThrow(/ended \(exit code 3\)/);
    const missing = start({ command: "no-such-command" });
    await expect(missing.waitForLine(/ready/, 5000)).rejects.toThrow(/exit code 127[\s\S]*no-such-command.*not found/);
    expect(() => start({ cwd: join(tmpdir(), "no-such-folder") })).toThrow(/ENOENT/);
  });

  it("ends the process's own children with it", async () => {
    const part = start({
      script: `const c = require("node:child_process").spawn("sleep", ["600"]); console.log("child " + c.pid); setInterval(() => {}, 1000)`,
    });
    const grandchild = Number((await part.waitForLine(/^child/, 5000)).slice(6));
    await part.kill();
    await waitFor(() => !isAlive(grandchild), { timeoutMs: 5000, what: "the grandchild to be gone" });
  });

  it.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
    "leaves nothing behind when this process dies by %s",
    async (signal) => {
      const scratch = mkdtempSync(join(tmpdir(), "im-gateway-scratch-"));
      const module = JSON.stringify(import.meta.resolve("./process.ts"));
      const parent = start({
        args: [
          "--input-type=module",
          "-e",
          `import { startProcess } from ${module};
         const part = startProcess({ name: "inner", command: "sleep", args: ["600"], scratch: process.env.SCRATCH });
         const frozen = startProcess({ name: "frozen", command: "sleep", args: ["600"] });
         frozen.freeze();
         console.log("inner " + part.pid + " " + frozen.pid);`,
        ],
        env: { SCRATCH: scratch },
      });
      const [, inner = "", frozen = ""] = (await parent.waitForLine(/^inner/, 5000)).split(" ");
      expect([isAlive(Number(inner)), isAlive(Number(frozen)), existsSync(scratch)]).toEqual([true, true, true]);
      process.kill(parent.pid, signal);
      expect(await parent.exited).toEqual({ code: null, signal });
      await waitFor(() => !isAlive(Number(inner)) && !isAlive(Number(frozen)), {
        timeoutMs: 5000,
        what: "the inner processes to be gone",
      });
      await waitFor(() => !existsSync(scratch), { timeoutMs: 5000, what: "the scratch folder to be gone" });
    },
  );

  it("keeps the scratch folder when the process ends first", async () => {
    const scratch = mkdtempSync(join(tmpdir(), "im-gateway-scratch-"));
    const part = start({ scratch });
    await part.exited;
    await waitFor(() => !hasGroup(part.pid), { timeoutMs: 5000, what: "the guard to be gone" });
    expect(existsSync(scratch)).toBe(true);
    rmdirSync(scratch);
  });
});

describe("freePort", () => {
  it("gives ports that a server can take and no client is given", async () => {
    const port = await freePort();
    expect(port).toBeLessThan(32_768);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("waitFor", () => {
  it("returns the first truthy answer", async () => {
    let count = 0;
    const options = { timeoutMs: 1000, what: "three", intervalMs: 1 };
    expect(await waitFor(() => (++count === 3 ? "three" : undefined), options)).toBe("three");
    expect(await waitFor(async () => 4, options)).toBe(4);
  });

  it("says what it waited for, and the last error", async () => {
    const boom = new Error("boom");
    const failing = (): never => {
      throw boom;
    };
    const error = await waitFor(failing, { timeoutMs: 30, what: "the moon" }).catch((e: unknown) => e);
    expect(error).toEqual(new Error("not within 30 ms: the moon; last error: boom"));
    expect(error).toHaveProperty("cause", boom);
  });

  it("does not hang on a condition that never settles", async () => {
    const never = waitFor(() => new Promise<boolean>(() => {}), { timeoutMs: 30, what: "an answer" });
    await expect(never).rejects.toThrow("not within 30 ms: an answer");
  });
});
