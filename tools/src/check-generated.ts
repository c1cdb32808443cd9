// Fails, with a line a file, when the committed generated code is not what the .proto files give.
import { join } from "node:path";
import { staleGeneratedFiles } from "./generated-code.ts";

const stale = staleGeneratedFiles(join(import.meta.dirname, "../.."));
if (stale.length > 0) {
  console.error(
    `${stale.join("\n")}\n\nThe generated code does not match the .proto files: run make generate and commit the result.`,
  );
  process.exit(1);
}
