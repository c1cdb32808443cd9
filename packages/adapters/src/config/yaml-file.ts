// What a YAML file says, each value with its line and column.
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { type ConfigKey, sectionsOf } from "./keys.ts";
import { type ConfigProblem, type Reading, type Setting, unknownKey } from "./sources.ts";
import type { RawValue } from "./values.ts";

/** A configuration file that was read. */
export interface ConfigFile {
  /** As messages name it: the path that was asked for. */
  readonly name: string;
  readonly text: string;
}

/** Reads YAML 1.2. Scalars are taken as they are written, so that `partitions: 6` and `secret: 0123` mean the text that stands there. */
export function readYaml(keys: readonly ConfigKey[], file: ConfigFile): Reading {
  const settings: Setting[] = [];
  const problems: ConfigProblem[] = [];
  const sections = sectionsOf(keys);
  const lineCounter = new LineCounter();
  const document = parseDocument(file.text, { lineCounter, prettyErrors: false });

  const placeOf = (offset: number): string => {
    const { line, col } = lineCounter.linePos(offset);
    return `${file.name}:${line}:${col}`;
  };
  const complain = (offset: number, key: string, message: string): void => {
    problems.push({ source: placeOf(offset), key, message });
  };
  const resolved = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);

  function readMap(map: YAMLMap, prefix: string): void {
    for (const { key: keyNode, value } of map.items) {
      const written = isScalar(keyNode) ? String(keyNode.value) : "";
      const name = `${prefix}${written}`;
      const keyOffset = offsetOf(keyNode) ?? offsetOf(map) ?? 0;
      const key = written.includes(".") ? undefined : keys.find((candidate) => candidate.key === name);
      if (key !== undefined) readValue(key, value, keyOffset);
      else if (sections.has(name)) readSection(name, value, keyOffset);
      else if (written.includes("."))
        complain(keyOffset, name, "in a file, write each part of a key on a level of its own");
      else complain(keyOffset, name, unknownKey(name, keys));
    }
  }

  function readSection(name: string, value: unknown, keyOffset: number): void {
    const node = resolved(value);
    if (isMap(node)) readMap(node, `${name}.`);
    else if (!isEmpty(node)) complain(offsetOf(value) ?? keyOffset, name, "this is a section: write its keys below it");
  }

  function readValue(key: ConfigKey, value: unknown, keyOffset: number): void {
    const offset = offsetOf(value) ?? keyOffset;
    const read = textOf(resolved(value));
    if (read === undefined) complain(offset, key.key, "wants a value");
    else {
      const { line } = lineCounter.linePos(offset);
      settings.push({ key, value: read, place: placeOf(offset), source: `${file.name}:${line}` });
    }
  }

  function textOf(node: unknown): RawValue | undefined {
    if (!isSeq(node)) return scalarText(node);
    // Not deeper: a list of lists is none of ours, and one of aliases may have no end.
    const items = node.items.map((item) => scalarText(resolved(item)));
    return items.every((item) => item !== undefined) ? items : undefined;
  }

  // A key that is there twice still leaves the rest readable; other mistakes of the syntax do not.
  const mistakes = [...document.errors, ...document.warnings];
  // Some messages end in ": " and what stands there, which may be a secret.
  for (const { pos, code, message } of mistakes) {
    complain(pos[0], "", code === "MULTIPLE_DOCS" ? "more than one document" : message.replace(/(?<=\S): .*$/s, ""));
  }
  const readable = mistakes.every(({ code }) => code === "DUPLICATE_KEY");
  if (readable) {
    if (isMap(document.contents)) readMap(document.contents, "");
    else if (!isEmpty(document.contents)) complain(0, "", "the file is not a map of keys: write lines of key: value");
  }
  return { settings, problems, incomplete: !readable };
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function isNode(node: unknown): node is Node {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node);
}

function scalarText(node: unknown): string | undefined {
  if (!isScalar(node) || isEmpty(node)) return undefined;
  return typeof node.value === "string" ? node.value : (node.source ?? "");
}

/** Nothing behind the colon, or YAML's null. */
function isEmpty(node: unknown): boolean {
  return node === null || node === undefined || (isScalar(node) && node.value === null);
}
