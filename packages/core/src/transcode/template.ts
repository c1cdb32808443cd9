// The path templates of google.api.http (grammar: the comments of google/api/http.proto).
import { Code } from "@connectrpc/connect";
import { failure } from "../errors.ts";
import { percentDecoded } from "./percent.ts";

export type Segment =
  /** `text` as the template has it, `value` decoded. */
  | { readonly kind: "literal"; readonly text: string; readonly value: string }
  /** `*`: one segment. */
  | { readonly kind: "single" }
  /** `**`: none or more, only at the end. */
  | { readonly kind: "multi" };

export interface PathVariable {
  /** Field names from the request message on, as the template has them. */
  readonly fieldPath: readonly string[];
  /** The segments it captures: from `start` up to, not including, `end`; Infinity after `**`. */
  readonly start: number;
  readonly end: number;
  /** It can hold slashes: an encoded one in it stays encoded. */
  readonly multi: boolean;
}

export interface Template {
  readonly segments: readonly Segment[];
  readonly variables: readonly PathVariable[];
  /** What follows the last colon; "" without one. */
  readonly verb: string;
}

const LITERAL = /^[A-Za-z0-9\-._~!$&'()+,;@%]+$/;
const FIELD_PATH = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;

/** @throws ConnectError internal when the template does not follow the grammar: the contract is wrong, nothing can start */
export function parseTemplate(text: string): Template {
  const refuse = (reason: string): Error =>
    failure(Code.Internal, "BAD_PATH_TEMPLATE", `path template ${JSON.stringify(text)}: ${reason}`);
  if (!text.startsWith("/")) {
    throw refuse("must start with /");
  }
  const colon = text.lastIndexOf(":");
  const hasVerb = colon > Math.max(text.lastIndexOf("/"), text.lastIndexOf("}"));
  const verb = hasVerb ? text.slice(colon + 1) : "";
  if (hasVerb && !LITERAL.test(verb)) {
    throw refuse("has a bad verb");
  }
  const segments: Segment[] = [];
  const variables: PathVariable[] = [];
  // The grammar wants a segment; but `/` alone is a path like any other.
  for (const part of text === "/" ? [] : splitOutsideBraces(text.slice(1, hasVerb ? colon : undefined))) {
    const start = segments.length;
    if (!part.startsWith("{")) {
      segments.push(parseSegment(part, refuse));
      continue;
    }
    if (!part.endsWith("}")) {
      throw refuse("has a brace that does not end its segment");
    }
    if (part.indexOf("{", 1) !== -1) {
      throw refuse("has a variable in a variable");
    }
    const [name = "", pattern = "*", ...rest] = part.slice(1, -1).split("=");
    if (!FIELD_PATH.test(name) || rest.length > 0) {
      throw refuse(`has a bad variable ${part}`);
    }
    segments.push(...pattern.split("/").map((inner) => parseSegment(inner, refuse)));
    const captured = segments.slice(start);
    variables.push({
      fieldPath: name.split("."),
      start,
      end: captured.at(-1)?.kind === "multi" ? Number.POSITIVE_INFINITY : segments.length,
      multi: captured.length > 1 || captured.some(({ kind }) => kind === "multi"),
    });
  }
  if (segments.slice(0, -1).some(({ kind }) => kind === "multi")) {
    throw refuse("has ** before its end");
  }
  for (const [index, { fieldPath }] of variables.entries()) {
    if (variables.slice(0, index).some((other) => other.fieldPath.join(".") === fieldPath.join("."))) {
      throw refuse(`has the variable ${fieldPath.join(".")} twice`);
    }
  }
  return { segments, variables, verb: verb.includes("%") ? literalOf(verb, refuse) : verb };
}

function parseSegment(text: string, refuse: (reason: string) => Error): Segment {
  if (text === "*") {
    return { kind: "single" };
  }
  if (text === "**") {
    return { kind: "multi" };
  }
  if (!LITERAL.test(text)) {
    throw refuse(`has a bad segment ${JSON.stringify(text)}`);
  }
  const value = literalOf(text, refuse);
  if (value === "." || value === "..") {
    throw refuse("has a . or .. segment, which no request has");
  }
  return { kind: "literal", text, value };
}

function literalOf(text: string, refuse: (reason: string) => Error): string {
  const value = percentDecoded(text);
  if (value === undefined) {
    throw refuse(`has bad percent-encoding in ${JSON.stringify(text)}`);
  }
  return value;
}

function splitOutsideBraces(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{") {
      depth++;
    } else if (char === "}") {
      depth--;
    } else if (char === "/" && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
