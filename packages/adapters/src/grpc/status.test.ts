import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { freePort } from "@im-gateway/tools/process";
import { expect, it } from "vitest";
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
  expect(callFailure(error)).toMatchObject({ reached: false });
});
