// Whether the committed generated code is what the .proto files give.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";

/**
 * Generates `root`'s proto/ into a temporary folder and compares every output folder of buf.gen.yaml with it. Returns one line a file
 * that differs; empty when all is fresh.
 */
export function staleGeneratedFiles(root: string): string[] {
  const template = join(root, "proto/buf.gen.yaml");
  const repository = join(import.meta.dirname, "../..");
  const fresh = mkdtempSync(join(tmpdir(), "im-gateway-generated-"));
  try {
    execFileSync("buf", ["generate", join(root, "proto"), "--template", template, "--output", fresh], {
      // Where the template finds our own generator.
      cwd: repository,
      env: {
        ...process.env,
        PATH: `${join(repository, "node_modules/.bin")}${delimiter}${process.env.PATH}`,
      },
      stdio: ["ignore", "inherit", "inherit"],
    });
    const outputs = readFileSync(template, "utf8").matchAll(/^ *(?:- )?out: *(\S+)$/gm);
    return [...new Set([...outputs].map(([, folder = ""]) => folder))]
      .flatMap((folder) => differences(join(root, folder), join(fresh, folder), root))
      .sort();
  } finally {
    rmSync(fresh, { recursive: true });
  }
}

function differences(committed: string, fresh: string, root: string): string[] {
  const names = new Set([...filesBelow(committed), ...filesBelow(fresh)]);
  return [...names].flatMap((name) => {
    const path = relative(root, join(committed, name));
    if (!existsSync(join(fresh, name))) return [`${path}: no .proto file gives it`];
    if (!existsSync(join(committed, name))) return [`${path}: missing`];
    const same = readFileSync(join(committed, name)).equals(readFileSync(join(fresh, name)));
    return same ? [] : [`${path}: out of date`];
  });
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
