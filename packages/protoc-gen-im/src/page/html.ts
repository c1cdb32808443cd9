// HTML from text: everything that is not markup of ours is escaped.
import type { JsonValue } from "@bufbuild/protobuf";

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** One paragraph, with `code` in backticks. */
export function inline(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, "<code>$1</code>");
}

export function paragraphs(text: string): string {
  return text
    .split(/\n\n+/)
    .filter((part) => part !== "")
    .map((part) => `<p>${inline(part)}</p>`)
    .join("");
}

/** JSON, indented and coloured. */
export function jsonHtml(value: JsonValue): string {
  return escapeHtml(JSON.stringify(value, null, 2)).replaceAll(
    /(&quot;(?:\\.|(?!&quot;)[^\\])*&quot;)(:?)|\b(true|false|null|-?\d+(?:\.\d+)?)\b/g,
    (_all, text: string | undefined, colon: string, word: string | undefined) => {
      if (text === undefined) {
        return `<i>${word}</i>`;
      }
      return colon === "" ? `<em>${text}</em>` : `<b>${text}</b>:`;
    },
  );
}

/** A block of code with its title. */
export function codeBlock(title: string, code: string): string {
  return `<figure><figcaption>${inline(title)}</figcaption><pre tabindex="0"><code>${code}</code></pre></figure>`;
}

export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map(
    (row) =>
      `<tr>${row.map((cell, index) => (index === 0 ? `<th scope="row">${cell}</th>` : `<td>${cell}</td>`)).join("")}</tr>`,
  );
  return `<div class="table${columns.length === 2 ? " two" : ""}"><table><thead><tr>${columns.map((column) => `<th scope="col">${column}</th>`).join("")}</tr></thead><tbody>${cells.join("")}</tbody></table></div>`;
}
