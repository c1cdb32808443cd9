// The comments of the .proto files as doc comments.
import type { AnyDesc, DescFile } from "@bufbuild/protobuf";
import { getComments } from "@bufbuild/protoplugin";

/** With a line break at its end; empty where the .proto file says nothing. */
export function docComment(desc: Exclude<AnyDesc, DescFile>, indent = ""): string {
  const { leading = "", trailing = "" } = getComments(desc);
  const lines = `${leading}${trailing}`
    .trim()
    .split("\n")
    .map((line) => line.trim().replaceAll("*/", "*\\/"));
  if (lines.length === 1) {
    return lines[0] === "" ? "" : `${indent}/** ${lines[0]} */\n`;
  }
  return [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`), `${indent} */`, ""].join("\n");
}
