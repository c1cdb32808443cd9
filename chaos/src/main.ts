// make chaos: every scenario, its account, and the table of docs/reliability.md.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describe, formatMarkdown, formatTable, withResults } from "./report.ts";
import { type Result, runScenario } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";

const usage = `make chaos ARGS="[NAME …] …": faults on real parts, and an account of every message
  NAME …       only these: ${scenarios.map(({ name }) => name).join(", ")}
  --short      as make test runs them: fewer rounds and connections, and for some times a wider bound, which is printed
  --json FILE  write the results there as well
  --logs DIR   leave the output of every gateway and im-logic there
  --write      put the results into docs/reliability.md; all scenarios in full only
`;
const documentPath: string = join(import.meta.dirname, "../../docs/reliability.md");

/** @returns what is wrong with them, in a line */
function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        short: { type: "boolean", default: false },
        json: { type: "string" },
        logs: { type: "string" },
        write: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    return error instanceof Error ? (error.message.split(".")[0] ?? "") : String(error);
  }
}

async function main(): Promise<void> {
  const given = readArguments();
  if (typeof given === "string") {
    process.stderr.write(`${given}\n${usage}`);
    process.exitCode = 2;
    return;
  }
  const { values, positionals } = given;
  const unknown = positionals.filter((name) => scenarios.every((scenario) => scenario.name !== name));
  const incomplete = values.write && (values.short || positionals.length > 0);
  if (values.help || unknown.length > 0 || incomplete) {
    if (unknown.length > 0) process.stderr.write(`there is no scenario ${unknown.join(", ")}\n`);
    process.stderr.write(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  if (process.platform !== "linux") throw new Error("memory is read from /proc: make chaos needs Linux");

  const results: Result[] = [];
  for (const scenario of scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    const result = await runScenario(scenario, {
      scale: values.short ? "short" : "full",
      logs: values.logs,
      progress: (line) => void process.stderr.write(`${line}\n`),
    });
    process.stderr.write(`${result.passed ? "held" : "FAILED"} after ${result.seconds} s: ${describe(result)}\n`);
    results.push(result);
  }
  console.log(formatTable(results));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
  if (values.write) {
    const date = new Date().toISOString().slice(0, 10);
    const machine = `${date}, Node ${process.version.slice(1)}, ${cpus().length} cores.`;
    const document = withResults(readFileSync(documentPath, "utf8"), formatMarkdown(results, machine));
    writeFileSync(documentPath, document);
  }
  if (!results.every(({ passed }) => passed)) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`make chaos: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
