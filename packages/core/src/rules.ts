// The rules of fields that the contract has (buf.validate), checked by protovalidate.
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Path } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { Code } from "@connectrpc/connect";
import { type FieldViolation, failure } from "./errors.ts";

/**
 * @returns a violation for each rule that the message breaks; fields by their names in the contract
 * @throws ConnectError internal when the rules themselves are wrong
 */
export type CheckRules = <D extends DescMessage>(desc: D, message: MessageShape<D>) => readonly FieldViolation[];

/** Rules are compiled when a type is checked for the first time, which takes long: at start, with an empty message. */
export function createRules(): CheckRules {
  const validator = createValidator();
  return (desc, message) => {
    const result = validator.validate(desc, message);
    switch (result.kind) {
      case "valid":
        return [];
      case "invalid":
        return result.violations.map(({ field, message }) => ({ field: fieldPath(field), description: message }));
      case "error":
        throw failure(Code.Internal, "BAD_RULES", `the rules of ${desc.typeName} can not be checked`, {
          cause: result.error,
        });
    }
  };
}

/** As everywhere in field violations: `user_ids[0]`, `cursors.some-key`. */
function fieldPath(path: Path): string {
  let text = "";
  for (const step of path) {
    switch (step.kind) {
      case "list_sub":
        text += `[${step.index}]`;
        break;
      case "map_sub":
        text += `.${step.key}`;
        break;
      case "field":
      case "oneof":
        text += text === "" ? step.name : `.${step.name}`;
        break;
      case "extension":
        text += `.[${step.typeName}]`;
        break;
    }
  }
  return text;
}
