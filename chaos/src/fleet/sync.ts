// What a client that was told to resync does: it asks for what it misses over REST, until that is all.
import { setTimeout as sleep } from "node:timers/promises";
import type { Message } from "./inbox.ts";

interface Synced {
  readonly messages: readonly Message[];
  readonly complete: boolean;
}

interface Listed {
  readonly messages: readonly { readonly conversation_id: string; readonly seq_id: number; readonly content: string }[];
}

const timeoutMs = 10_000;
const pauseMs = 500;
const maxFailures = 60;

/** One page. An answer that is none is a page without messages that is not complete. @param port of a gateway on 127.0.0.1 */
export async function sync(port: number, token: string, cursors: Readonly<Record<string, number>>): Promise<Synced> {
  const body = JSON.stringify({ cursors, page_size: 100 });
  const page = await ask<Listed & { readonly complete: boolean }>(port, token, "POST", "/sync", body);
  return { messages: page?.messages.map(toMessage) ?? [], complete: page?.complete ?? false };
}

/** Contents of one conversation, oldest first, as im-logic has them. */
export async function history(port: number, token: string, conversationId: string): Promise<string[]> {
  const contents: string[] = [];
  let failures = 0;
  for (let more = true; more; ) {
    const path = `/conversations/${conversationId}/messages?after_seq_id=${contents.length}&page_size=100`;
    const page = await ask<Listed & { readonly has_more: boolean }>(port, token, "GET", path);
    contents.push(...(page?.messages.map(({ content }) => content) ?? []));
    if (page === undefined) failures += 1;
    if (failures > maxFailures) throw new Error(`the history of ${conversationId} can not be read`);
    more = page?.has_more ?? true;
  }
  return contents;
}

async function ask<T>(
  port: number,
  token: string,
  method: string,
  path: string,
  body?: string,
): Promise<T | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
      method,
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body }),
    });
    if (response.status === 200) return (await response.json()) as T;
    await response.body?.cancel();
  } catch {
    // The gateway is away or does not answer: the caller asks again while it has reason to.
  }
  await sleep(pauseMs);
  return undefined;
}

function toMessage({ conversation_id, seq_id, content }: Listed["messages"][number]): Message {
  return { conversationId: conversation_id, seqId: seq_id, content };
}
