// The etcd3 client, with what it lacks: a deadline on every call, no hidden retries, a connection that is checked and
// soon restored.

import { Code, type ConnectError } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import { noop } from "cockatiel";
import {
  Etcd3,
  EtcdAuthenticationFailedError,
  EtcdPermissionDeniedError,
  GRPCInvalidArgumentError,
  GRPCNotImplementedError,
  GRPCUnauthenticatedError,
} from "etcd3";

/** @param callTimeoutMs deadline of every call that is not a stream */
export function createClient(endpoints: readonly string[], callTimeoutMs: number): Etcd3 {
  return new Etcd3({
    hosts: [...endpoints],
    defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + callTimeoutMs }),
    // Its own policies try three times more, each with a new deadline, and then answer nothing for 5 s. The callers
    // here try again by themselves.
    faultHandling: { host: () => noop, global: noop },
    grpcOptions: {
      // Not below 5 s, and not without a call: etcd would hang up (--grpc-keepalive-min-time).
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 3_000,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1_000,
      // A call that ran into its deadline makes etcd3 drop the channel. The next one then has a connection of its own, and does not wait for one that
      // was tried while packets were lost: the system repeats such an attempt after 1, 2, 4 … 32 s only.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.dns_min_time_between_resolutions_ms": 5_000,
      // An http_proxy in the environment is for the way out, not for the coordinator.
      "grpc.enable_http_proxy": 0,
      "grpc.service_config_disable_resolution": 1,
      "grpc.enable_channelz": 0,
    },
  });
}

/** What etcd will refuse again, however often it is asked; undefined for all that may pass. */
export function refusal(error: unknown): ConnectError | undefined {
  const code = permanentCode(error);
  if (code === undefined) return undefined;
  return failure(code, "REGISTRY_REFUSED", "etcd refused the request", { cause: error });
}

function permanentCode(error: unknown): Code | undefined {
  if (error instanceof EtcdPermissionDeniedError) return Code.PermissionDenied;
  if (error instanceof EtcdAuthenticationFailedError || error instanceof GRPCUnauthenticatedError) {
    return Code.Unauthenticated;
  }
  if (error instanceof GRPCInvalidArgumentError) return Code.InvalidArgument;
  if (error instanceof GRPCNotImplementedError) return Code.Unimplemented;
  return undefined;
}
