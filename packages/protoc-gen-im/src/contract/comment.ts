// What the .proto files say in words.
import type { AnyDesc, DescFile } from "@bufbuild/protobuf";
import { getComments } from "@bufbuild/protoplugin";

/** A comment as one paragraph of text; empty where there is none. */
export function commentOf(desc: Exclude<AnyDesc, DescFile>): string {
  const { leading = "", trailing = "" } = getComments(desc);
  return `${leading} ${trailing}`.replaceAll(/\s+/g, " ").trim();
}

/** `UpdateMemberRole` is "Update member role". */
export function inWords(name: string): string {
  const words = name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
