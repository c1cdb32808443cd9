// The chat page of the embedded default, from this repository or its image: examples/web-chat on the client SDK's build.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { extname, join, sep } from "node:path";
import type { Page } from "@im-gateway/core";

const root = join(import.meta.dirname, "../../../..");
const page = join(root, "examples/web-chat");
const sdk = join(root, "packages/client-sdk/dist");

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Nothing from anywhere else, nothing inline. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const commonHeaders = {
  "content-security-policy": contentSecurityPolicy,
  "cache-control": "no-cache",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** At `/` and below `/chat/`; undefined where the files are not, as in an installed package. */
export async function readChatPage(): Promise<ReadonlyMap<string, Page> | undefined> {
  if (!existsSync(page) || !existsSync(join(sdk, "index.js"))) {
    return undefined;
  }
  const files = [...(await filesOf(page, "/chat/")), ...(await filesOf(sdk, "/chat/sdk/"))];
  return new Map(files.map(([path, file]) => [path === "/chat/index.html" ? "/" : path, file]));
}

async function filesOf(folder: string, prefix: string): Promise<[path: string, file: Page][]> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => extname(name) in contentTypes);
  return Promise.all(
    names.map(async (name): Promise<[string, Page]> => {
      const headers = { ...commonHeaders, "content-type": contentTypes[extname(name)] ?? "" };
      const body = await readFile(join(folder, name), "utf8");
      return [prefix + name.split(sep).join("/"), { headers, body }];
    }),
  );
}
