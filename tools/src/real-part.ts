// A real server for tests that keeps its ports and its data while it is killed and started again.
import { rmSync } from "node:fs";
import type { Part } from "./process.ts";

export interface RealPart {
  /** Of the process that runs now or ran last. */
  readonly pid: number;
  readonly output: readonly string[];
  /** Ends it (SIGTERM) and removes its data. May be called again. */
  stop(): Promise<void>;
  /** Kill -9; the data stays for `restart`. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Ends it (SIGTERM) if it runs, and starts it on the same ports and data. Resolves when it answers. */
  restart(): Promise<void>;
}

/** `launch` resolves when the server answers; `folder` is all its data. */
export async function createRealPart(folder: string, launch: () => Promise<Part>): Promise<RealPart> {
  const removeData = (): void => rmSync(folder, { recursive: true, force: true });
  let part: Part;
  let stopped = false;
  try {
    part = await launch();
  } catch (error) {
    removeData();
    throw error;
  }
  return {
    get pid() {
      return part.pid;
    },
    get output() {
      return part.output;
    },
    async stop() {
      stopped = true;
      await part.stop();
      removeData();
    },
    async kill() {
      await part.kill();
    },
    freeze: () => part.freeze(),
    thaw: () => part.thaw(),
    async restart() {
      if (stopped) throw new Error(`${part.name} was stopped and its data removed: start a new one`);
      await part.stop();
      part = await launch();
    },
  };
}

/** The part once it has printed `ready`; killed when it does not. */
export async function partWhenReady(part: Part, ready: RegExp, timeoutMs: number): Promise<Part> {
  try {
    await part.waitForLine(ready, timeoutMs);
  } catch (error) {
    await part.kill();
    throw error;
  }
  return part;
}
