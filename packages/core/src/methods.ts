// The methods of the contract as the gateway treats them: who may call, where the call goes, which fields the token fills, which rules hold.
import { create, type DescField, type DescMethod, type DescService, getOption, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { Code, ConnectError } from "@connectrpc/connect";
import { options, SendMessageRequestSchema } from "@im-gateway/proto";
import { type FieldViolation, failure, invalidFields, maxViolations } from "./errors.ts";
import type { Identity } from "./identity/token.ts";
import { missingFields, requiredFields } from "./json/required.ts";
import { type MethodOptions, methodOptions } from "./method-options.ts";
import { type CheckRules, createRules } from "./rules.ts";
import { isRouteMethod, type RouteMethod } from "./transcode/routes.ts";

export interface Method extends MethodOptions {
  /** `package.Service/Method`. */
  readonly name: string;
  readonly desc: RouteMethod;
  readonly auth: NonNullable<MethodOptions["auth"]>;
  readonly identityFields: readonly IdentityField[];
  readonly required: readonly DescField[];
  readonly checkRules: CheckRules;
}

interface IdentityField {
  readonly field: DescField;
  readonly claim: (identity: Identity) => string;
}

/**
 * By `package.Service/Method`.
 * @param door "clients": REST and `call` of clients; "back-ends": the internal port
 * @throws ConnectError internal, naming file and method, when one lacks `auth`: nobody decided who may call it; when it is not for this door,
 * or can not be called through one; when its options or rules make no sense
 */
export function createMethods(
  services: readonly DescService[],
  door: "clients" | "back-ends",
): ReadonlyMap<string, Method> {
  const checkRules = createRules();
  const methods = services.flatMap((service) => service.methods).map((desc) => createMethod(desc, door, checkRules));
  return new Map(methods.map((method) => [method.name, method]));
}

export function methodName(desc: DescMethod): string {
  return `${desc.parent.typeName}/${desc.name}`;
}

/**
 * Completes and checks a request that a client sent: identity fields are not in it, required fields are, the rules of the contract hold; then
 * the identity fields are filled.
 * @param identity undefined: nobody is known (public methods)
 * @param named the fields of the request that the client wrote, also with their zero value
 * @throws ConnectError invalid_argument with a violation for each field
 */
export function prepareRequest(
  { desc, identityFields, required, checkRules }: Method,
  request: Message,
  identity: Identity | undefined,
  named: ReadonlySet<string>,
): void {
  const { input } = desc;
  const found = [
    ...identityFields
      .filter(({ field }) => named.has(field.name))
      .map(({ field }) => ({ field: field.name, description: "is filled from the token" })),
    ...missingFields(input, request, required),
    ...checkRules(input, request),
  ];
  if (found.length > 0) {
    // What is missing breaks rules as well, which says nothing more.
    const violations = new Map<string, FieldViolation>();
    for (const violation of found) {
      if (!violations.has(violation.field)) {
        violations.set(violation.field, violation);
      }
    }
    throw invalidFields(...[...violations.values()].slice(0, maxViolations));
  }
  if (identity !== undefined && identityFields.length > 0) {
    const message = reflect(input, request);
    for (const { field, claim } of identityFields) {
      message.set(field, claim(identity));
    }
  }
}

function createMethod(desc: DescMethod, door: "clients" | "back-ends", checkRules: CheckRules): Method {
  const name = methodName(desc);
  const refuse = (reason: string, cause?: unknown): Error =>
    failure(Code.Internal, "BAD_METHOD_OPTIONS", `${desc.parent.file.name}.proto: ${name}: ${reason}`, { cause });
  const { auth, ...rest } = methodOptions(desc);
  if (auth === undefined) {
    throw refuse("has no option (im.options.v1.method).auth that is known here");
  }
  if ((auth === "service") !== (door === "back-ends") || (rest.target === "gateway") !== (door === "back-ends")) {
    throw refuse(
      door === "clients"
        ? "auth SERVICE and target GATEWAY are for the internal port"
        : "the internal port takes auth SERVICE and target GATEWAY only",
    );
  }
  if (!isRouteMethod(desc)) {
    throw refuse("streams from the client, which no door takes");
  }
  if (rest.target === "upstream" && desc.input.typeName !== SendMessageRequestSchema.typeName) {
    throw refuse(`target UPSTREAM takes a ${SendMessageRequestSchema.name}`);
  }
  try {
    checkRules(desc.input, create(desc.input));
  } catch (thrown) {
    throw refuse(thrown instanceof ConnectError ? thrown.rawMessage : "its rules can not be checked", thrown);
  }
  return {
    ...rest,
    auth,
    name,
    desc,
    identityFields: desc.input.fields.flatMap((field) => {
      const claim = claims[getOption(field, options.identity)];
      return claim === undefined ? [] : [{ field, claim }];
    }),
    required: requiredFields(desc.input),
    checkRules,
  };
}

const claims: Readonly<Record<options.Identity, ((identity: Identity) => string) | undefined>> = {
  [options.Identity.UNSPECIFIED]: undefined,
  [options.Identity.USER_ID]: ({ userId }) => userId,
  [options.Identity.DEVICE_ID]: ({ deviceId }) => deviceId,
  [options.Identity.SESSION_ID]: ({ sessionId }) => sessionId,
};
