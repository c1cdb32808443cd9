import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { downloaded, runDownloader } from "./downloads.ts";

let cache: string;
let said: string[];
beforeEach(() => {
  cache = join(mkdtempSync(join(tmpdir(), "im-gateway-downloads-")), "cache");
  said = [];
});
afterEach(() => rmSync(join(cache, ".."), { recursive: true }));

function get(fetch: (folder: string) => void): string {
  return downloaded({ name: "thing-1.0", announce: "Fetching …", fetch }, (text) => said.push(text), cache);
}

const fetchText = (text: string) => (folder: string) => writeFileSync(join(folder, "text"), text);

it("fetches once", () => {
  const folder = get(fetchText("first"));
  expect(get(fetchText("second"))).toBe(folder);
  expect(readFileSync(join(folder, "text"), "utf8")).toBe("first");
  expect(said).toEqual(["Fetching …"]);
  expect(readdirSync(cache)).toEqual(["thing-1.0"]);
});

it("leaves nothing behind when it fails, and tries again", () => {
  const fail = (folder: string): void => {
    fetchText("half")(folder);
    throw new Error("connection lost");
  };
  expect(() => get(fail)).toThrow("connection lost");
  expect(readdirSync(cache)).toEqual([]);
  expect(readFileSync(join(get(fetchText("whole")), "text"), "utf8")).toBe("whole");
});

it("does not take what an interrupted run left", () => {
  mkdirSync(join(cache, "thing-1.0.unfinished-x"), { recursive: true });
  fetchText("half")(join(cache, "thing-1.0.unfinished-x"));
  expect(readFileSync(join(get(fetchText("whole")), "text"), "utf8")).toBe("whole");
});

it("takes what another run finished meanwhile", () => {
  const folder = get((mine) => {
    fetchText("mine")(mine);
    get(fetchText("theirs"));
  });
  expect(readFileSync(join(folder, "text"), "utf8")).toBe("theirs");
  expect(readdirSync(cache)).toEqual(["thing-1.0"]);
});

it("shows what a failed downloader printed", () => {
  expect(() => runDownloader("sh", ["-c", "echo out; echo err >&2; exit 1"], tmpdir())).toThrow(/failed:\nout\nerr/);
  expect(() => runDownloader("no-such-downloader", [], tmpdir())).toThrow(/no-such-downloader[\s\S]*ENOENT/);
  expect(existsSync(cache)).toBe(false);
});
