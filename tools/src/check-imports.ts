// Fails, with a line a violation, when the workspace breaks the rules of import-rules.ts.
import { join } from "node:path";
import { checkImports } from "./import-rules.ts";

const violations = checkImports(join(import.meta.dirname, "../.."));
if (violations.length > 0) {
  console.error(
    `${violations.join("\n")}\n\nImports: ${violations.length} against the rules (CONTRIBUTING.md, "Rules that the checks hold")`,
  );
  process.exit(1);
}
