// The methods of the contract with the gateway's options: who may call, where the call goes, which fields the token fills.
import { type DescField, type DescMethod, type DescService, getOption, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { Code } from "@connectrpc/connect";
import { options, SendMessageRequestSchema } from "@im-gateway/proto";
import { failure, invalidFields } from "./errors.ts";
import type { Identity } from "./identity/token.ts";
import { missingFields, requiredFields } from "./json/required.ts";
import { isRouteMethod, type RouteMethod } from "./transcode/routes.ts";

export interface Method {
  /** `package.Service/Method`. */
  readonly name: string;
  readonly desc: RouteMethod;
  readonly auth: "public" | "user";
  readonly target: "logic" | "upstream";
  readonly identityFields: readonly IdentityField[];
  readonly required: readonly DescField[];
}

interface IdentityField {
  readonly field: DescField;
  readonly claim: (identity: Identity) => string;
}

/** By `package.Service/Method`. @throws ConnectError internal when a method lacks `auth`: nobody decided who may call it */
export function createMethods(services: readonly DescService[]): ReadonlyMap<string, Method> {
  const methods = services.flatMap((service) => service.methods.filter(isRouteMethod)).map(createMethod);
  return new Map(methods.map((method) => [method.name, method]));
}

export function methodName(desc: DescMethod): string {
  return `${desc.parent.typeName}/${desc.name}`;
}

/**
 * Completes and checks a request that a client sent: required fields are there, identity fields are not, then these are filled.
 * @param identity undefined: nobody is known (public methods)
 * @param named the proto names of the fields that the client sent, also those that it set to a zero value
 * @throws ConnectError invalid_argument with a violation for each field
 */
export function prepareRequest(
  method: Method,
  request: Message,
  identity: Identity | undefined,
  named: ReadonlySet<string>,
): void {
  const message = reflect(method.desc.input, request);
  const violations = [
    ...method.identityFields
      .filter(({ field }) => named.has(field.name))
      .map(({ field }) => ({ field: field.name, description: "is filled from the token" })),
    ...missingFields(method.desc.input, request, method.required),
  ];
  if (violations.length > 0) {
    throw invalidFields(...violations);
  }
  if (identity !== undefined) {
    for (const { field, claim } of method.identityFields) {
      message.set(field, claim(identity));
    }
  }
}

function createMethod(desc: RouteMethod): Method {
  const name = methodName(desc);
  const refuse = (reason: string): Error =>
    failure(Code.Internal, "BAD_METHOD_OPTIONS", `${desc.parent.file.name}.proto: ${name}: ${reason}`);
  const { auth, target } = getOption(desc, options.method);
  // Not only UNSPECIFIED: a value of a newer contract is not for users either.
  if (auth !== options.Auth.PUBLIC && auth !== options.Auth.USER) {
    throw refuse("has no option (im.options.v1.method).auth that is known here");
  }
  if (target === options.Target.UPSTREAM && desc.input.typeName !== SendMessageRequestSchema.typeName) {
    throw refuse(`target UPSTREAM takes a ${SendMessageRequestSchema.name}`);
  }
  return {
    name,
    desc,
    auth: auth === options.Auth.PUBLIC ? "public" : "user",
    target: target === options.Target.UPSTREAM ? "upstream" : "logic",
    identityFields: desc.input.fields.flatMap((field) => {
      const claim = claims[getOption(field, options.identity)];
      return claim === undefined ? [] : [{ field, claim }];
    }),
    required: requiredFields(desc.input),
  };
}

const claims: Readonly<Record<options.Identity, ((identity: Identity) => string) | undefined>> = {
  [options.Identity.UNSPECIFIED]: undefined,
  [options.Identity.USER_ID]: ({ userId }) => userId,
  [options.Identity.DEVICE_ID]: ({ deviceId }) => deviceId,
  [options.Identity.SESSION_ID]: ({ sessionId }) => sessionId,
};
