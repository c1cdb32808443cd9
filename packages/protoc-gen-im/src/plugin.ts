// What the generator makes: one target a run, by the option `target`.
import { create, createFileRegistry, type FileRegistry } from "@bufbuild/protobuf";
import {
  CodeGeneratorResponse_Feature,
  CodeGeneratorResponseSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import type { Plugin } from "@bufbuild/protoplugin";
import { documentFiles } from "./document-files.ts";
import { referencePages } from "./reference/reference-pages.ts";
import { sdkFiles } from "./sdk/sdk-files.ts";

/** What a target makes of the contract: files by their path below the target's output folder. */
export type Target = (contract: FileRegistry) => ReadonlyMap<string, string>;

const targets: Readonly<Record<string, Target>> = {
  sdk: sdkFiles,
  documents: documentFiles,
  reference: referencePages,
};

// Not createEcmaScriptPlugin: `target` is an option of its own, and it writes nothing but scripts.
export const plugin: Plugin = {
  name: "protoc-gen-im",
  version: "0.1.0",
  run({ parameter, protoFile }) {
    const target = targets[parameter.replace(/^target=/, "")];
    if (target === undefined) {
      throw new Error(`one option is needed: target=${Object.keys(targets).join("|")}`);
    }
    const files = target(createFileRegistry(create(FileDescriptorSetSchema, { file: protoFile })));
    return create(CodeGeneratorResponseSchema, {
      supportedFeatures: BigInt(CodeGeneratorResponse_Feature.PROTO3_OPTIONAL),
      file: [...files].map(([name, content]) => ({ name, content })),
    });
  },
};
