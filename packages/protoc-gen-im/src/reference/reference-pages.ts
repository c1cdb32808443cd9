import type { FileRegistry } from "@bufbuild/protobuf";
export function referencePages(_contract: FileRegistry): ReadonlyMap<string, string> {
  return new Map();
}
