// Field violations name fields as the client wrote them; whoever checks a message knows the contract's names only.
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "@im-gateway/proto";
import { describeViolations, reasonOf } from "../errors.ts";
import { isJsonObject, type JsonTree } from "./text.ts";

/** A name, `[0]` or `["key"]`. */
const STEP = /\.?([A-Za-z_]\w*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/y;

/**
 * @param path in the contract's names: `author.full_name`, `sequels[1].book_id`
 * @param json what the client sent
 * @returns the same path with each name as it stands in `json`; names that are not there stay as they are
 */
export function clientSpelling(desc: DescMessage, json: JsonTree | undefined, path: string): string {
  let message: DescMessage | undefined = desc;
  let tree = json;
  let spelled = "";
  STEP.lastIndex = 0;
  while (STEP.lastIndex < path.length) {
    const start = STEP.lastIndex;
    const [step, name, index, key] = STEP.exec(path) ?? [];
    const field: DescField | undefined =
      name === undefined ? undefined : message?.fields.find((candidate) => candidate.name === name);
    if (step === undefined || (name !== undefined && field === undefined)) {
      return spelled + path.slice(start);
    }
    if (field === undefined) {
      spelled += step;
      const at = index ?? String(JSON.parse(key ?? '""'));
      tree = Array.isArray(tree) ? tree[Number(at)] : memberOf(tree, at);
      continue;
    }
    const written = memberOf(tree, field.name) === undefined && memberOf(tree, field.jsonName) !== undefined;
    const shown = written ? field.jsonName : field.name;
    spelled += spelled === "" ? shown : `.${shown}`;
    tree = memberOf(tree, shown);
    message = field.message;
  }
  return spelled;
}

/** The error with its violations in the client's spelling; the error itself where nothing changes. */
export function inClientSpelling(error: ConnectError, desc: DescMessage, json: JsonTree | undefined): ConnectError {
  const sent = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  const violations = sent.map(({ field, description }) => ({ field: clientSpelling(desc, json, field), description }));
  if (violations.every(({ field }, index) => field === sent[index]?.field)) {
    return error;
  }
  const own = reasonOf(error) === "INVALID_FIELD" && error.rawMessage === describeViolations(sent);
  const message = own ? describeViolations(violations) : error.rawMessage;
  const spelled = new ConnectError(message, error.code, error.metadata, undefined, error.cause);
  const others = error.details.filter((detail) =>
    "desc" in detail ? detail.desc.typeName !== BadRequestSchema.typeName : detail.type !== BadRequestSchema.typeName,
  );
  spelled.details = [...others, { desc: BadRequestSchema, value: { fieldViolations: violations } }];
  return spelled;
}

function memberOf(tree: JsonTree | undefined, key: string): JsonTree | undefined {
  return isJsonObject(tree) && Object.hasOwn(tree, key) ? tree[key] : undefined;
}
