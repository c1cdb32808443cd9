// Programs that go on when the command that started them has ended: found again and stopped by their process id.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "./process.ts";
import { waitFor } from "./wait-for.ts";

export interface Background {
  readonly name: string;
  readonly logFile: string;
  /** Of the process that runs now; undefined when none does, whatever became of it. */
  pid(): number | undefined;
  /** Resolves when the one that ran before has let go of its ports: a process that was killed may hold them while its threads end. */
  ended(): Promise<void>;
  /** Starts the command with an empty log. Its arguments must name the folder: that tells it from a stranger who got its process id. */
  start(command: Command): void;
  /** SIGTERM, and SIGKILL after 15 s. Resolves when the process is gone; at once when none runs. */
  stop(): Promise<void>;
}

const stopTimeoutMs = 15_000;
const endTimeoutMs = 5000;

/** A program that leaves `name.pid` and `name.log` in `folder`. */
export function createBackground(folder: string, name: string): Background {
  const pidFile = join(folder, `${name}.pid`);
  const logFile = join(folder, `${name}.log`);
  const written = (): number | undefined => (existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8")) : undefined);
  const pid = (): number | undefined => {
    const last = written();
    return last !== undefined && ps(last, "args").includes(folder) ? last : undefined;
  };
  return {
    name,
    logFile,
    pid,
    async ended() {
      const last = written();
      if (last === undefined) return;
      await waitFor(() => !isEnding(last), {
        timeoutMs: endTimeoutMs,
        what: `${name} (process ${last}) to let go of its ports`,
        intervalMs: 20,
      });
    },
    start({ command, args = [] }) {
      mkdirSync(folder, { recursive: true });
      const log = openSync(logFile, "w");
      const child = spawn(command, args, { detached: true, stdio: ["ignore", log, log] });
      closeSync(log);
      if (child.pid === undefined) throw new Error(`${name}: cannot start ${command}`);
      writeFileSync(pidFile, String(child.pid));
      child.unref();
    },
    async stop() {
      const running = pid();
      if (running !== undefined) {
        const gone = (timeoutMs: number) =>
          waitFor(() => isGone(running), {
            timeoutMs,
            what: `${name} (process ${running}) to end`,
            intervalMs: 100,
          });
        process.kill(running, "SIGTERM");
        await gone(stopTimeoutMs).catch(async () => {
          process.kill(running, "SIGKILL");
          await gone(stopTimeoutMs);
        });
      }
      rmSync(pidFile, { force: true });
    },
  };
}

/** Whether the process has ended and let go of its ports. One that nobody reaps, as in a container without an init, counts. */
export function isGone(pid: number): boolean {
  return /^(Z|$)/.test(ps(pid, "stat")) && !isEnding(pid);
}

/** Ended, but for some of its threads. */
function isEnding(pid: number): boolean {
  return /^Z.*l/.test(ps(pid, "stat"));
}

/** Empty when there is no such process. */
function ps(pid: number, column: "args" | "stat"): string {
  const { stdout, error } = spawnSync("ps", ["-ww", "-o", `${column}=`, "-p", String(pid)], { encoding: "utf8" });
  if (error !== undefined) throw error;
  return stdout.trim();
}
