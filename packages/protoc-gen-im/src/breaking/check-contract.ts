// check-contract.ts [PROTO_FOLDER]: fails, with a line a break, when the .proto files break what proto/contract.binpb has.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { contractBreaks, readImage } from "./contract-diff.ts";

const folder = process.argv[2] ?? join(import.meta.dirname, "../../../../proto");
const now = execFileSync("buf", ["build", folder, "--output", "-#format=binpb"], { maxBuffer: 64 * 1024 * 1024 });
const breaks = contractBreaks(readImage(readFileSync(join(folder, "contract.binpb"))), readImage(now));
if (breaks.length > 0) {
  console.error(
    `${breaks.join("\n")}\n\nClients and back ends rely on these. When the break is meant: make contract (CONTRIBUTING.md, "Changing the contract")`,
  );
  process.exit(1);
}
