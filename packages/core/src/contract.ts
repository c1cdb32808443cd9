// Whether a contract can be served: what createGateway refuses at its start, for those who want to know when they write it.
import type { DescMessage, DescService } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";
import { checkFrameCalls } from "./frame/frame-call.ts";
import { createMethods } from "./methods.ts";
import { createTranscoder } from "./transcode/transcoder.ts";

export interface Contract {
  /** Services for clients, over REST and `call`. */
  readonly clients: readonly DescService[];
  /** Services of the internal port. */
  readonly backEnds: readonly DescService[];
  /** `im.gateway.v1.ClientFrame`, with frames that call methods. */
  readonly clientFrame: DescMessage;
}

/** @throws ConnectError internal that names file, method and rule */
export function checkContract({ clients, backEnds, clientFrame }: Contract): void {
  const transport = createRouterTransport(() => {});
  for (const services of [clients, backEnds]) {
    createTranscoder({ services, transport });
  }
  createMethods(backEnds, "back-ends");
  checkFrameCalls(clientFrame, createMethods(clients, "clients"));
}
