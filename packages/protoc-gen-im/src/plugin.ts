// What the generator makes: one target a run, by the option `target`.
import { createEcmaScriptPlugin, type Plugin, type Schema } from "@bufbuild/protoplugin";

interface Options {
  readonly target: Target;
}

type Target = keyof typeof targets;

/** Each writes its files for a schema with this option. */
const targets = {
  sdk: (_schema: Schema<Options>): void => {},
};

export const plugin: Plugin = createEcmaScriptPlugin<Options>({
  name: "protoc-gen-im",
  version: "0.1.0",
  parseOptions(options) {
    const value = options.find(({ key }) => key === "target")?.value ?? "";
    const target = names.find((name) => name === value);
    if (target === undefined || options.length !== 1) {
      throw new Error(`one option is needed: target=${names.join("|")}`);
    }
    return { target };
  },
  generateTs: (schema) => targets[schema.options.target](schema),
});

const names: readonly Target[] = ["sdk"];
