import { createServer } from "node:http2";
import { Code, createClient } from "@connectrpc/connect";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { AuthService } from "@im-gateway/proto";
import { freePort } from "@im-gateway/tools/process";
import { expect, it } from "vitest";
import { createGrpcTransport, fixedEndpoints } from "./index.ts";
import { callFailure } from "./status.ts";

// Only grpc-js's text tells it, so this asks grpc-js itself.
it("knows a request that never left", async () => {
  const client = new Client(`127.0.0.1:${await freePort()}`, credentials.createInsecure());
  const noBytes = (): Buffer => Buffer.alloc(0);
  const error = await new Promise<ServiceError | null>((resolve) => {
    client.makeUnaryRequest("/a.B/C", noBytes, noBytes, undefined, new Metadata(), resolve);
  });
  client.close();
  if (error === null) throw new Error("a closed port answered");
  expect(callFailure(error, false)).toMatchObject({ reached: false });
});

const lookAlikes = [
  "No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.7:5432",
  "Name resolution failed for target dns:accounts-db:9000",
  "Failed to start HTTP/2 stream with error: x",
  "Channel closed",
];

it.each([
  ["in headers and trailers", true],
  ["in trailers only", false],
])("takes no peer's text, sent %s, for a request that never left: nothing runs twice", async (_how, headersFirst) => {
  const texts = [...lookAlikes];
  let asked = 0;
  // What a server of any kind may send: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
  const server = createServer();
  server.on("stream", (stream) => {
    asked += 1;
    const status = { "grpc-status": "14", "grpc-message": encodeURIComponent(texts[0] ?? "") };
    const head = { ":status": 200, "content-type": "application/grpc" };
    if (!headersFirst) {
      stream.respond({ ...head, ...status }, { endStream: true });
      return;
    }
    stream.respond(head, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(status));
    stream.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const transport = createGrpcTransport({
    endpoints: fixedEndpoints([{ address: "127.0.0.1", port: address.port }]),
    log: () => {},
  });
  for (const [index] of lookAlikes.entries()) {
    const refused = createClient(AuthService, transport).register({ username: "a", password: "b" });
    await expect(refused).rejects.toMatchObject({ code: Code.Unavailable });
    expect(asked).toBe(index + 1);
    texts.shift();
  }
  transport.close();
  await new Promise((resolve) => server.close(resolve));
});
