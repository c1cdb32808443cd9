// What the generator makes: one target a run, by the option `target`.
import { create, createFileRegistry, type FileRegistry } from "@bufbuild/protobuf";
import {
  CodeGeneratorResponse_Feature,
  CodeGeneratorResponseSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import type { Plugin } from "@bufbuild/protoplugin";
import { ConnectError } from "@connectrpc/connect";
import { checkContract } from "@im-gateway/core";
import { documentFiles } from "./document-files.ts";
import { referencePages } from "./reference/reference-pages.ts";
import { sdkFiles, servicesPackage } from "./sdk/sdk-files.ts";

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
    const contract = createFileRegistry(create(FileDescriptorSetSchema, { file: protoFile }));
    requireServable(contract);
    const files = target(contract);
    return create(CodeGeneratorResponseSchema, {
      supportedFeatures: BigInt(CodeGeneratorResponse_Feature.PROTO3_OPTIONAL),
      file: [...files].map(([name, content]) => ({ name, content })),
    });
  },
};

/** Of the services of the internal port. */
const gatewayPackage = "im.gateway.v1";
/** Of the services of im-logic that gateways alone call: they have no door. */
const routePackage = "im.route.v1";

/** What no gateway would start with is not generated from. */
function requireServable(contract: FileRegistry): void {
  const clientFrame = contract.getMessage("im.gateway.v1.ClientFrame");
  if (clientFrame === undefined) {
    throw new Error("the contract has no im.gateway.v1.ClientFrame");
  }
  const services = [...contract].filter((type) => type.kind === "service");
  const of = (name: string) => services.filter(({ file }) => file.proto.package === name);
  const known: readonly string[] = [servicesPackage, gatewayPackage, routePackage];
  const stranger = services.find(({ file }) => !known.includes(file.proto.package));
  if (stranger !== undefined) {
    throw new Error(
      `${stranger.file.name}.proto: ${stranger.typeName}: services for clients are of package ${servicesPackage}, for back ends of ${gatewayPackage}`,
    );
  }
  try {
    checkContract({
      clients: of(servicesPackage),
      backEnds: of(gatewayPackage),
      clientFrame,
    });
  } catch (error) {
    throw error instanceof ConnectError ? new Error(error.rawMessage) : error;
  }
}
