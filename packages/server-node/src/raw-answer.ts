// Answers on connections that Node's HTTP server has given up.
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** Writes an HTTP answer and ends the connection. */
export async function answerRaw(tcp: Duplex, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer());
  const lines = [`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? ""}`];
  for (const [name, value] of response.headers) {
    if (name !== "connection") {
      lines.push(`${name}: ${value}`);
    }
  }
  lines.push(`content-length: ${body.length}`, "connection: close", "", "");
  // Nobody reads this connection any more: what the peer still sends would keep it open for ever.
  tcp.resume();
  tcp.end(Buffer.concat([Buffer.from(lines.join("\r\n")), body]), () => tcp.destroy());
}
