// Downloaded programs, kept in .cache/ of the repository.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Told what is being done, for people. */
export type Progress = (text: string) => void;

const repositoryCache = join(import.meta.dirname, "../../.cache");

export interface Download {
  /** Folder name in the cache, with the version. */
  readonly name: string;
  /** Said before it starts. */
  readonly announce: string;
  /** Puts everything into `folder`, which is empty. */
  readonly fetch: (folder: string) => void;
}

/**
 * The folder with the download, fetched when it is not there. It appears complete or not at all: an interrupted run leaves only a
 * temporary folder that the next one ignores, and of two runs at the same time one wins.
 */
export function downloaded(download: Download, progress: Progress, cache: string = repositoryCache): string {
  const folder = join(cache, download.name);
  const stamp = join(folder, "complete");
  if (existsSync(stamp)) return folder;
  progress(download.announce);
  mkdirSync(cache, { recursive: true });
  const unfinished = mkdtempSync(join(cache, `${download.name}.unfinished-`));
  try {
    download.fetch(unfinished);
    writeFileSync(join(unfinished, "complete"), "");
    renameSync(unfinished, folder);
  } catch (error) {
    if (!existsSync(stamp)) throw error;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

/**
 * Runs a downloading command to its end.
 * @throws Error with what it printed.
 */
export function runDownloader(command: string, args: readonly string[], cwd: string): void {
  try {
    execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { stdout?: string | null; stderr?: string | null };
    const printed = `${stdout ?? ""}${stderr ?? ""}`;
    throw new Error(`${command} ${args.join(" ")} failed:\n${printed || message}`, { cause: error });
  }
}
