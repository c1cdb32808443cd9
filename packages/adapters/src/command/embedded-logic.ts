// An im-logic that runs inside a gateway's process. A server passes in the one to embed: adapters know none.
import type { ConnectRouter } from "@connectrpc/connect";
import type { Log, Registry } from "@im-gateway/core";
import type { Bus, SharedTopics } from "./bus.ts";
import type { TokenOptions } from "./token-options.ts";

export interface EmbeddedLogicOptions extends Bus {
  /** The folder of its database. Default: everything is kept in memory. */
  readonly dataDir?: string;
  readonly jwt: TokenOptions;
  readonly topics: SharedTopics;
  /** Where all gateways that it serves have their keys; absent where it can not see them all. */
  readonly registry?: Registry;
  readonly log: Log;
}

export interface EmbeddedLogic {
  /** Registers its services. */
  readonly routes: (router: ConnectRouter) => void;
  /** Consumes its topics until the signal aborts. Rejects only on what can never work. */
  run(signal: AbortSignal): Promise<void>;
  /** The consumer receives. */
  readonly ready: boolean;
  /** Makes the accounts that a newcomer tries first, where they are absent. */
  createDemoAccounts(): Promise<readonly { readonly username: string; readonly password: string }[]>;
  /** Lets go of the database; after `run` has resolved. */
  close(): void;
}

export type CreateEmbeddedLogic = (options: EmbeddedLogicOptions) => EmbeddedLogic;
