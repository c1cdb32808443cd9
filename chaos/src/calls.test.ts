// A window counts every call that began in it.
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startCalls } from "./calls.ts";
import { tooManyFailed } from "./verdicts.ts";

test("a call that hangs beyond the window is waited for, and is of the window in which it began", async () => {
  const waiting: ServerResponse[] = [];
  let hangs = true;
  let came: () => void = () => {};
  const threeCame = new Promise<void>((resolve) => {
    came = () => waiting.length === 3 && resolve();
  });
  const server = createServer((_, response) => {
    if (hangs) {
      waiting.push(response);
      came();
    } else response.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const calls = startCalls(100, [`http://127.0.0.1:${(server.address() as AddressInfo).port}`], {
    userId: "u",
    token: "t",
  });
  onTestFinished(async () => {
    await calls.stop();
    server.closeAllConnections();
    server.close();
  });
  await threeCame;
  hangs = false;
  let closed = false;
  const window = calls.closeWindow().then((tally) => {
    closed = true;
    return tally;
  });
  // A later call is answered at once: that is another window's.
  await expect.poll(() => calls.tally.made).toBeGreaterThan(0);
  expect(closed).toBe(false);
  for (const response of waiting) response.writeHead(503).end();
  const tally = await window;
  expect(tally.made).toBeGreaterThanOrEqual(3);
  expect(tally.failed).toBe(3);
  expect(tooManyFailed(tally, "then")).toEqual([expect.stringContaining(`then 3 of ${tally.made} calls failed`)]);
  expect(calls.tally.failed).toBe(0);
});
