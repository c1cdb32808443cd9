// Where others reach a port of this process.
import { networkInterfaces } from "node:os";

/**
 * The address to publish for a port that is open.
 * @param listening what the port is bound to
 * @param configured wins when set
 */
export function advertisedAddress(
  listening: { readonly host: string; readonly port: number },
  configured?: { readonly host: string; readonly port: number },
): { readonly address: string; readonly port: number } {
  if (configured !== undefined) {
    return { address: configured.host, port: configured.port };
  }
  const everywhere = ["", "0.0.0.0", "::"].includes(listening.host);
  return { address: everywhere ? machineAddress() : listening.host, port: listening.port };
}

/** The first IPv4 address that is not loopback; loopback on a machine without a network. */
function machineAddress(): string {
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal);
  return found?.address ?? "127.0.0.1";
}
