// What a change of the contract breaks that buf breaking does not see.
import { createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { factsOf } from "./facts.ts";

/** @returns one line a break, `file: what was …, is …`, sorted; additions break nothing */
export function contractBreaks(before: FileRegistry, after: FileRegistry): readonly string[] {
  const is = factsOf(after);
  return [...factsOf(before).values()]
    .flatMap(({ file, name, value, removable }) => {
      const now = is.get(name);
      if (now === undefined) {
        return removable ? [] : [`${file}: ${name} was ${value}, is gone${instead(name, [...is.keys()])}`];
      }
      return now.value === value ? [] : [`${file}: ${name} was ${value}, is ${now.value}`];
    })
    .sort();
}

/** @param image what `buf build` writes */
export function readImage(image: Uint8Array): FileRegistry {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
}

/** The routes that the method of a lost route has now. */
function instead(name: string, names: readonly string[]): string {
  const [method = ""] = name.split(" route ");
  const routes = names
    .filter((other) => other.startsWith(`${method} route `))
    .map((other) => other.split(" route ")[1]);
  return name.includes(" route ") && routes.length > 0 ? `; its routes are ${routes.join(", ")}` : "";
}
