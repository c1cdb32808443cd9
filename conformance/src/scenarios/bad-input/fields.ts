// Values for the fields of the contract's messages, by their descriptors: so that what is new is in the tables by itself.
import { type DescField, getOption, ScalarType } from "@bufbuild/protobuf";
import { FieldBehavior, field_behavior } from "@im-gateway/proto";

/** Not to be had as a number of JavaScript. */
export const past53 = "9007199254740993";

/** A field with its value as JSON. */
export type FieldJson = readonly [name: string, json: string];

export function fieldsJson(fields: readonly FieldJson[]): string {
  return `{${fields.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(",")}}`;
}

export interface BadFields {
  readonly name: string;
  readonly fields: readonly FieldJson[];
  /** What the violation has to name. */
  readonly violation: string;
}

/** Each field missing where it is required, and of every wrong type; the others are good. */
export function badFields(fields: readonly DescField[]): readonly BadFields[] {
  const good = fields.map((field): FieldJson => [field.name, goodValue(field)]);
  return fields.flatMap((field): readonly BadFields[] => {
    const { name } = field;
    const others = good.filter(([other]) => other !== name);
    const required = getOption(field, field_behavior).includes(FieldBehavior.REQUIRED);
    const missing = [
      { name: `without ${name}`, fields: others, violation: name },
      { name: `with ${name} null`, fields: [...others, [name, "null"] as const], violation: name },
    ];
    const mistyped = badValues(field).map(([json, at = ""]) => ({
      name: `with ${name} ${json}`,
      fields: [...others, [name, json] as const],
      violation: `${name}${at}`,
    }));
    return [...(required ? missing : []), ...mistyped];
  });
}

export function goodFields(fields: readonly DescField[]): readonly FieldJson[] {
  return fields.map((field): FieldJson => [field.name, goodValue(field)]);
}

function goodValue(field: DescField): string {
  if (field.name === "method") {
    return '"im.logic.v1.UserService/GetMe"';
  }
  switch (field.fieldKind) {
    case "scalar":
      return { text: '"x"', truth: "true", integer: "1" }[kindOf(field.scalar)];
    case "enum":
      return "1";
    case "map":
    case "message":
      return "{}";
    case "list":
      return '["x"]';
  }
}

/** As JSON, with what the violation names behind the field. */
function badValues(field: DescField): readonly (readonly [json: string, at?: string])[] {
  switch (field.fieldKind) {
    case "scalar":
      switch (kindOf(field.scalar)) {
        case "text":
          // An id may be a number.
          return [["{}"], ["[]"], ["true"], ...(field.name.endsWith("_id") ? [] : [["7"] as const])];
        case "truth":
          return [['"yes"'], ["1"], ["{}"]];
        case "integer":
          return [['"many"'], ["1.5"], ["true"], ["{}"], [past53], [`"${past53}"`], [`-${past53}`]];
      }
      break;
    case "enum":
      return [['"FLY"'], ["1.5"], ["{}"], ["true"], [past53]];
    case "map":
      return [["[]"], ['"x"'], ['{"a":"many"}', ".a"], [`{"a":${past53}}`, ".a"], ['{"a":null}', ".a"]];
    case "message":
      return [["[]"], ['"x"'], ["7"]];
    case "list":
      return [["{}"], ['"x"'], ['["x",{}]', "[1]"], ["[null]", "[0]"]];
  }
}

/** @returns undefined for a field of which any text is good */
export function badText(field: DescField): string | undefined {
  return field.fieldKind === "enum" || (field.fieldKind === "scalar" && kindOf(field.scalar) !== "text")
    ? "canary-4711"
    : undefined;
}

function kindOf(scalar: ScalarType): "text" | "truth" | "integer" {
  return scalar === ScalarType.STRING ? "text" : scalar === ScalarType.BOOL ? "truth" : "integer";
}
