// docs/configuration.md: every key of a program in a table.
import { type ConfigKey, toJson } from "../config/index.ts";

const columns = ["key", "default", "environment", "what it is"];

/** A Markdown table of the keys, in their order. */
export function referenceTable(keys: readonly ConfigKey[]): string {
  const rows = keys.map((key) => [
    code(key.key),
    key.default === undefined ? "" : code(JSON.stringify(toJson(key.notation, key.default))),
    key.env.map(code).join(", "),
    `${escaped(key.description)}${key.required ? ". Required in its section" : ""}`,
  ]);
  return [columns, columns.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function code(text: string): string {
  return `\`${text}\``;
}

/** Descriptions are Markdown, but `<host>` would be an element of HTML there. */
function escaped(description: string): string {
  return description.replaceAll("<", "&lt;").replaceAll("|", "\\|");
}
