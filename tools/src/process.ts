// Child processes for tests and tools: started, awaited by their output, stopped for certain.
import { spawn, spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import type { Duplex, Readable } from "node:stream";

export { freePort } from "./free-port.ts";
export { type WaitOptions, waitFor } from "./wait-for.ts";

export interface Command {
  /** Found on PATH unless it has a slash. */
  readonly command: string;
  readonly args?: readonly string[];
}

export interface ProcessOptions extends Command {
  /** What messages call it. */
  readonly name: string;
  /** Laid over this process's environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** The whole standard input. Default: empty. */
  readonly stdin?: string;
  /** A folder that is removed if this process dies before the child does; otherwise it stays. */
  readonly scratch?: string;
  /** Gets each line as it comes, uncut. */
  readonly onLine?: (line: string, stream: "stdout" | "stderr") => void;
}

export interface Exit {
  /** `null` when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Part {
  readonly name: string;
  readonly pid: number;
  /** Lines of stdout and stderr so far, oldest first; the last 5,000, each cut at 10,000 characters. */
  readonly output: readonly string[];
  /** Settles when the process is gone and all of its output is read. Never rejects. */
  readonly exited: Promise<Exit>;
  /**
   * The first line that matches, of those already there and those to come.
   * @throws Error with the output when time runs out or the process ends first.
   */
  waitForLine(match: RegExp | ((line: string) => boolean), timeoutMs: number): Promise<string>;
  /** SIGTERM (a frozen process is thawed for it); SIGKILL when it has not ended after `deadlineMs`, by default 40 s: more than a gateway drains. */
  stop(deadlineMs?: number): Promise<Exit>;
  /** SIGKILL. */
  kill(): Promise<Exit>;
  /** SIGSTOP: it keeps its sockets and answers nothing, from the return of this on. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

const stopTimeoutMs = 5000;
const maxLines = 5000;
const maxLineLength = 10_000;
const linesInErrors = 60;

/**
 * Becomes the command by `exec`, so that the pid is the command's own. Before that it forks a guard that reads from a pipe (fd 3) which this
 * process holds: the read ends when this process is gone, kill -9 included, and the guard then kills the command. The guard shares the
 * process group, whose number stays taken while the guard lives: it can never hit a stranger.
 */
const launcher = `
scratch=$1; shift
(
  read -r ended <&3
  if [ "$ended" != ended ]; then
    kill -s KILL $$
    [ -z "$scratch" ] || rm -rf -- "$scratch"
  fi
  kill -s KILL -- -$$
) </dev/null >/dev/null 2>&1 &
echo guarded >&3
exec "$@" 3<&-
`;

/**
 * Starts `command` as a child that cannot outlive this process. Descendants that stay in its process group end with it.
 * @throws Error when `cwd` is no folder. A command that does not exist ends with code 127.
 */
export function startProcess(options: ProcessOptions): Part {
  const { name } = options;
  if (options.cwd !== undefined && !statSync(options.cwd).isDirectory()) {
    throw new Error(`${name}: ${options.cwd} is not a folder`);
  }
  const child = spawn(
    "/bin/sh",
    ["-c", launcher, "sh", options.scratch ?? "", options.command, ...(options.args ?? [])],
    {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe", "pipe"],
      detached: true,
    },
  );
  const output: string[] = [];
  const listeners = new Set<(line: string) => void>();
  const addLine = (line: string): void => {
    output.push(line.slice(0, maxLineLength));
    if (output.length > maxLines) output.shift();
    for (const listener of [...listeners]) listener(line);
  };
  child.on("error", (error) => addLine(`${name}: ${error.message}`));
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name}: cannot start a process`);

  for (const stream of ["stdout", "stderr"] as const) {
    eachLine(child[stream], (line) => {
      addLine(line);
      options.onLine?.(line, stream);
    });
  }
  const lifeline = child.stdio[3] as Duplex;
  for (const pipe of [child.stdin, lifeline]) {
    pipe.on("error", (error: NodeJS.ErrnoException) => {
      // The child may be gone before it has read: that shows in `exited`, and is no line of its output.
      if (error.code !== "EPIPE") addLine(`${name}: ${error.message}`);
    });
  }
  child.stdin.end(options.stdin ?? "");

  let exit: Exit | undefined;
  child.once("exit", () => lifeline.end("ended\n"));
  const exited = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => {
      exit = { code, signal };
      resolve(exit);
    });
  });
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const signal = (signalName: NodeJS.Signals): void => {
    if (!ended()) child.kill(signalName);
  };
  // A process that is frozen before its guard exists would be left behind.
  let guarded = false;
  let freezeWanted = false;
  lifeline.on("data", () => {
    guarded = true;
    if (freezeWanted) freeze();
  });
  const freeze = (): void => {
    signal("SIGSTOP");
    untilStopped(pid);
  };
  const kill = (): Promise<Exit> => {
    signal("SIGKILL");
    return exited;
  };

  return {
    name,
    pid,
    output,
    exited,
    kill,
    freeze() {
      freezeWanted = true;
      if (guarded) freeze();
    },
    thaw() {
      freezeWanted = false;
      signal("SIGCONT");
    },
    async stop(deadlineMs = 40_000) {
      freezeWanted = false;
      signal("SIGTERM");
      signal("SIGCONT");
      const timer = setTimeout(() => signal("SIGKILL"), deadlineMs);
      const result = await exited;
      clearTimeout(timer);
      return result;
    },
    waitForLine(match, timeoutMs) {
      const matches = typeof match === "function" ? match : (line: string) => line.search(match) !== -1;
      const known = output.find((line) => matches(line));
      if (known !== undefined) return Promise.resolve(known);
      return new Promise<string>((resolve, reject) => {
        const settle = (): void => {
          listeners.delete(listener);
          clearTimeout(timer);
        };
        const fail = (why: string): void => {
          settle();
          const wanted = typeof match === "function" ? "the line that was waited for" : String(match);
          reject(new Error(`${name}: ${why}, no line matched ${wanted}. ${tail(output)}`));
        };
        const listener = (line: string): void => {
          if (!matches(line)) return;
          settle();
          resolve(line);
        };
        const timer = setTimeout(() => fail(`after ${timeoutMs} ms`), timeoutMs);
        listeners.add(listener);
        void exited.then((result) => {
          if (listeners.has(listener)) fail(`ended (${describeExit(result)})`);
        });
      });
    },
  };
}

/**
 * Returns when the process does nothing any more: on a busy machine its threads go on for a while after the signal was sent, long enough to
 * answer a request.
 */
function untilStopped(pid: number): void {
  const deadline = performance.now() + stopTimeoutMs;
  for (;;) {
    const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
    // Stopped, ended, or not there.
    if (/^(?:T|Z|$)/.test(stdout.trim())) return;
    if (performance.now() > deadline) throw new Error(`process ${pid} does not stop`);
  }
}

function eachLine(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
  stream.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}

function tail(output: readonly string[]): string {
  if (output.length === 0) return "It printed nothing.";
  return `Its last lines:\n${output.slice(-linesInErrors).join("\n")}`;
}

function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : `by ${signal}`;
}
