// make chaos: every scenario, its account, and the table of docs/reliability.md.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { readOptions, usage } from "./options.ts";
import { describe, formatMarkdown, formatTable, withResults } from "./report.ts";
import { type Result, runScenario } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";

const documentPath: string = join(import.meta.dirname, "../../docs/reliability.md");

async function main(): Promise<void> {
  const read = readOptions(process.argv.slice(2), scenarios);
  if ("error" in read || read.options.help) {
    process.stderr.write("error" in read ? `make chaos: ${read.error}\n${usage(scenarios)}` : usage(scenarios));
    process.exitCode = "error" in read ? 2 : 0;
    return;
  }
  const { options } = read;
  if (process.platform !== "linux") throw new Error("memory is read from /proc: make chaos needs Linux");
  if (options.logs !== undefined) mkdirSync(options.logs, { recursive: true });

  const results: Result[] = [];
  for (const scenario of scenarios.filter(({ name }) => options.names.length === 0 || options.names.includes(name))) {
    const result = await runScenario(scenario, {
      scale: options.short ? "short" : "full",
      logs: options.logs,
      progress: (line) => void process.stderr.write(`${line}\n`),
    });
    process.stderr.write(`${result.passed ? "held" : "FAILED"} after ${result.seconds} s: ${describe(result)}\n`);
    results.push(result);
  }
  console.log(formatTable(results));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
  if (options.write) {
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
