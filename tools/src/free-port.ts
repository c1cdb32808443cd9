// Ports for servers in tests.
import { createServer } from "node:net";

/** A TCP port that is free on 127.0.0.1, below the range of outgoing connections, so that no client takes it while its server is away. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port found between 20000 and 32000");
}

/** Whether a server can take `port` on 127.0.0.1 now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
