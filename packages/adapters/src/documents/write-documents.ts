// Writes what is generated from the schemas; with --check fails instead, with a line a file, when the committed files are not that.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { configDocuments, staleConfigDocuments } from "./config-documents.ts";

const root = join(import.meta.dirname, "../../../..");

if (process.argv.includes("--check")) {
  const stale = staleConfigDocuments(root);
  if (stale.length > 0) {
    console.error(
      `${stale.join("\n")}\n\nThe documents do not match the configuration's schema: run make generate and commit the result.`,
    );
    process.exit(1);
  }
} else {
  for (const [path, text] of configDocuments()) writeFileSync(join(root, path), text);
}
