// Results as a table, for a terminal and for docs/reliability.md.
import type { Result } from "./scenario.ts";

const columns = ["sent", "acked", "in_log", "delivered", "duplicated", "out_of_order", "missing"] as const;

/** One row a scenario, then what did not hold. */
export function formatTable(results: readonly Result[]): string {
  const rows = [
    ["scenario", ...columns, "", "s"],
    ...results.map(({ name, figures, passed, scale, seconds }) => [
      name,
      ...columns.map((column) => (figures === undefined ? "–" : String(figures.account[column]))),
      `${passed ? "held" : "FAILED"}${scale === "short" ? " (short form)" : ""}`,
      String(Math.round(seconds)),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const table = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [...table, "", ...results.map(describe)].join("\n");
}

/** What a scenario was held to, its further figures and failures, a line each. */
export function describe({ name, title, promise, figures, error }: Result): string {
  const further = Object.entries(figures?.further ?? {}).map(([figure, value]) => `    ${figure}: ${value}`);
  const failures = [
    ...(figures?.failures ?? []),
    ...(error === undefined ? [] : [`could not be carried out: ${error}`]),
  ];
  return [
    `${name}: ${title}`,
    `    must hold: ${promise}`,
    ...further,
    ...failures.map((failure) => `    FAILED: ${failure}`),
  ].join("\n");
}

/** The section between the markers of the document. */
export function formatMarkdown(results: readonly Result[], machine: string): string {
  const header = `| scenario | must hold | ${columns.map((column) => column.replaceAll("_", " ")).join(" | ")} | |`;
  const rows = results.map(({ title, promise, figures, passed }) => {
    const numbers = columns.map((column) => (figures === undefined ? "–" : String(figures.account[column])));
    return `| ${title} | ${promise} | ${numbers.join(" | ")} | ${passed ? "held" : "**failed**"} |`;
  });
  const further = results.map(({ name, figures, error, seconds }) => {
    const some = Object.entries(figures?.further ?? {}).map(([figure, value]) => `${figure} ${value}`);
    const failures = [...(figures?.failures ?? []), ...(error === undefined ? [] : [error])];
    const failed = failures.length === 0 ? "" : ` **Did not hold:** ${failures.join("; ")}.`;
    return `- \`${name}\` (${Math.round(seconds)} s): ${some.join("; ")}.${failed}`;
  });
  return [machine, "", header, `|---|---|${columns.map(() => "--:").join("|")}|---|`, ...rows, "", ...further].join(
    "\n",
  );
}

const begin = "<!-- results: begin -->";
const end = "<!-- results: end -->";

/** The document with another section of results. */
export function withResults(document: string, section: string): string {
  const [before, rest] = document.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`the document has no ${begin} … ${end}`);
  return `${before}${begin}\n\n${section}\n\n${end}${after}`;
}
