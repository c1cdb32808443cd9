// The rules of fields that the contract has (buf.validate), checked by protovalidate and told in our words.
import { type DescField, type DescMessage, getOption, type MessageShape } from "@bufbuild/protobuf";
import { isReflectMessage, type Path, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { Code } from "@connectrpc/connect";
import { FieldRulesSchema, fieldRules } from "@im-gateway/proto";
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
        return result.violations.map((violation) => ({
          field: fieldPath(violation.field),
          description: describe(violation),
        }));
      case "error":
        throw failure(Code.Internal, "BAD_RULES", `the rules of ${desc.typeName} can not be checked`, {
          cause: result.error,
        });
    }
  };
}

/** The rule with its bounds. One that the contract words itself (CEL) is told in the contract's words. */
function describe({ field, rule, ruleId, message }: Violation): string {
  const steps = rule.filter((step) => step.kind === "field");
  const [name, owner] = [steps.at(-1)?.name, rulesAt(field, steps.slice(0, -1))];
  switch (name) {
    case "cel":
    case "cel_expression":
      return message;
    case "min_len":
    case "max_len":
      return `must have ${bounds(owner, "min_len", "max_len")} characters`;
    case "min_items":
    case "max_items":
      return `must have ${bounds(owner, "min_items", "max_items")} items`;
    case "gte":
    case "lte":
      return `must be ${bounds(owner, "gte", "lte")}`;
    case "in":
      return `must be one of ${listed(owner).join(", ")}`;
    default:
      return `breaks the rule ${ruleId}`;
  }
}

/** The rules that the steps lead to, from those of the field that was checked on. */
function rulesAt(field: Path, steps: readonly DescField[]): ReflectMessage | undefined {
  const checked = field.findLast((step) => step.kind === "field");
  let rules: ReflectMessage | undefined = checked && reflect(FieldRulesSchema, getOption(checked, fieldRules));
  for (const step of steps) {
    const next: unknown = rules?.get(step);
    rules = isReflectMessage(next) ? next : undefined;
  }
  return rules;
}

function bounds(rules: ReflectMessage | undefined, min: string, max: string): string {
  const [least, most] = [ruleValue(rules, min), ruleValue(rules, max)];
  if (least !== undefined && most !== undefined) {
    return `${least} to ${most}`;
  }
  return least === undefined ? `at most ${most}` : `at least ${least}`;
}

/** Undefined where the rule is not set. */
function ruleValue(rules: ReflectMessage | undefined, name: string): string | undefined {
  const field = rules?.fields.find((candidate) => candidate.name === name);
  return field !== undefined && rules?.isSet(field) === true ? String(rules.get(field)) : undefined;
}

/** An empty text among them stands for an absent field. */
function listed(rules: ReflectMessage | undefined): string[] {
  const field = rules?.fields.find(({ name }) => name === "in");
  return field?.fieldKind === "list" && rules !== undefined
    ? [...rules.get(field)].map(String).filter((value) => value !== "")
    : [];
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
