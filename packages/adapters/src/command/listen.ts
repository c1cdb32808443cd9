// Opening a port.
import type { Server } from "node:net";

export interface ListenAddress {
  /** "" is every interface. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** Resolves to what was bound when the port is open. Rejects with what the system says, EADDRINUSE for one. */
export function listen(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, ...(host === "" ? {} : { host }) }, () => {
      server.off("error", reject);
      const bound = server.address();
      resolve(bound !== null && typeof bound === "object" ? { host: bound.address, port: bound.port } : { host, port });
    });
  });
}
