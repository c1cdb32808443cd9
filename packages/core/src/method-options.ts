// The option (im.options.v1.method) of a method, in our own words. Whoever asks how the gateway treats a method asks here.
import { create, type DescMethod, getOption } from "@bufbuild/protobuf";
import { http, options } from "@im-gateway/proto";

export interface MethodOptions {
  /** Who may call it; undefined where the contract does not say, or says what is not known here. */
  readonly auth: "public" | "user" | "service" | undefined;
  readonly target: "logic" | "upstream" | "gateway";
  /** What its calls are counted with, where calls are limited. */
  readonly rateClass: "read" | "write" | "login" | "send" | "expensive";
  /** Calling twice does what calling once does. */
  readonly idempotent: boolean;
  /** The HTTP status of success. Default: 200. */
  readonly successStatus: number;
}

/** A contract that does not import our options has none of them: in another's their number may mean anything. */
export function methodOptions(desc: DescMethod): MethodOptions {
  const ours = desc.parent.file.dependencies.some(({ proto }) => proto.package === options.method.file.proto.package);
  const given = ours ? getOption(desc, options.method) : create(options.MethodSchema);
  const { auth, target, rateClass, idempotent, successStatus } = given;
  return {
    auth: auths[auth],
    target: targets[target] ?? "logic",
    rateClass: rateClasses[rateClass] ?? (getOption(desc, http).pattern.case === "get" ? "read" : "write"),
    idempotent,
    successStatus: successStatus || 200,
  };
}

const auths: Readonly<Partial<Record<options.Auth, MethodOptions["auth"]>>> = {
  [options.Auth.PUBLIC]: "public",
  [options.Auth.USER]: "user",
  [options.Auth.SERVICE]: "service",
};

const targets: Readonly<Partial<Record<options.Target, MethodOptions["target"]>>> = {
  [options.Target.UPSTREAM]: "upstream",
  [options.Target.GATEWAY]: "gateway",
};

const rateClasses: Readonly<Partial<Record<options.RateClass, MethodOptions["rateClass"]>>> = {
  [options.RateClass.READ]: "read",
  [options.RateClass.WRITE]: "write",
  [options.RateClass.LOGIN]: "login",
  [options.RateClass.SEND]: "send",
  [options.RateClass.EXPENSIVE]: "expensive",
};
