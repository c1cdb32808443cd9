// What the scenarios run against. Each world brings its own parts and stops them.
import type { GatewayAddress } from "@im-gateway/tools/program";

export type { GatewayAddress } from "@im-gateway/tools/program";

/** The launchers of the gateway, one a runtime. */
export type GatewayCommand = "im-gateway" | "im-gateway-bun";
export const gatewayCommands: readonly GatewayCommand[] = ["im-gateway", "im-gateway-bun"];

export interface World {
  /** What runs its gateways. */
  readonly command: GatewayCommand;
  /** Two gateways to connect to; where there is only one process, the same one twice. */
  readonly gateways: readonly [GatewayAddress, GatewayAddress];
  /** Every part that can be taken down. */
  readonly parts: readonly WorldPart[];
  stop(): Promise<void>;
}

export interface WorldPart {
  readonly name: string;
  /** Whether the sockets of its gateway end with it. */
  readonly holdsSockets: boolean;
  /** Ends it as an operator would (`stop`) or as a power cut would (`kill`), starts it again, and waits until it works. */
  restart(how: "stop" | "kill"): Promise<void>;
}
