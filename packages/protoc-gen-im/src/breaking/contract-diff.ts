// What a change of the contract breaks that buf breaking does not see.
import { createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { factsOf } from "./facts.ts";

/** @returns one line a break, `file: what was …, is …`, sorted; additions break nothing, but a required field */
export function contractBreaks(before: FileRegistry, after: FileRegistry): readonly string[] {
  const [was, is] = [factsOf(before), factsOf(after)];
  const lost = [...was.values()].flatMap(({ file, name, value, removable, harmless }) => {
    const now = is.get(name);
    if (now === undefined) {
      return removable ? [] : [`${file}: ${name} was ${value}, is gone${instead(name, [...is.keys()])}`];
    }
    return now.value === value || now.value === harmless ? [] : [`${file}: ${name} was ${value}, is ${now.value}`];
  });
  // A message that was whole before now lacks something.
  const asked = [...is.values()]
    .filter(
      ({ owner, name, value }) =>
        name.endsWith(" required") && value === "true" && !was.has(name) && before.getMessage(owner),
    )
    .map(({ file, name }) => `${file}: ${name} is true of a field that was not there`);
  return [...lost, ...asked].sort();
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
