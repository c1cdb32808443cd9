// google.api.field_behavior = REQUIRED: checked on frames and requests before anyone is called.
import { type DescField, type DescMessage, getOption, type MessageShape } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { FieldBehavior, field_behavior } from "@im-gateway/proto";
import type { FieldViolation } from "../errors.ts";

/** The message's own fields that must be set; a zero value counts as not set. */
export function requiredFields(desc: DescMessage): readonly DescField[] {
  return desc.fields.filter((field) => getOption(field, field_behavior).includes(FieldBehavior.REQUIRED));
}

export function missingFields<D extends DescMessage>(
  desc: D,
  message: MessageShape<D>,
  required: readonly DescField[],
): readonly FieldViolation[] {
  const reflected = reflect(desc, message);
  return required
    .filter((field) => !reflected.isSet(field))
    .map((field) => ({ field: field.name, description: "is required" }));
}
