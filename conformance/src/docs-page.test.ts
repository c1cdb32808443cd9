// The page of both documents in a real browser, from a running gateway.
import chromium from "@sparticuz/chromium";
import { type Browser, type BrowserContextOptions, type Page, chromium as playwright } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { World } from "./world.ts";
import { startEmbeddedWorld } from "./worlds/embedded.ts";

const startTimeoutMs = 60_000;
let world: World;
let browser: Browser;

beforeAll(async () => {
  world = await startEmbeddedWorld("im-gateway");
  browser = await playwright.launch({ executablePath: await chromium.executablePath(), args: ["--no-sandbox"] });
}, startTimeoutMs);
afterAll(async () => {
  await browser?.close();
  await world?.stop();
}, startTimeoutMs);

interface Opened {
  readonly page: Page;
  /** What it asked for. */
  readonly requests: readonly string[];
  /** What the browser complained of: an error of the script, something that the policy stopped. */
  readonly complaints: readonly string[];
}

async function open(options: BrowserContextOptions): Promise<Opened> {
  const page = await (await browser.newContext(options)).newPage();
  const [requests, complaints]: [string[], string[]] = [[], []];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(`${world.gateways[0].http}/docs`);
  return { page, requests, complaints };
}

test("it is one request, and works under its policy", async () => {
  const { page, requests, complaints } = await open({ viewport: { width: 1440, height: 900 } });
  expect(await page.title()).toBe("im-gateway: the API");
  expect(await page.locator("main section:visible").count()).toBeGreaterThan(70);
  await page.locator("nav a", { hasText: "Update member role" }).click();
  await page.locator('nav a[aria-current="location"]', { hasText: "Update member role" }).waitFor();
  expect(requests).toEqual([`${world.gateways[0].http}/docs`]);
  expect(complaints).toEqual([]);
});

test("the keyboard reaches the filter, which leaves what fits", async () => {
  const { page } = await open({ viewport: { width: 1440, height: 900 } });
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content");
  await page.keyboard.press("/");
  await page.keyboard.type("resync-required frame");
  const shown = page.locator("main section:visible");
  await expect.poll(() => shown.first().getAttribute("id")).toBe("client-frame-resume");
  expect(await page.locator("nav li:visible").count()).toBe(await shown.count());
  await page.keyboard.type(" nothing-like-this");
  await page.getByText("Nothing fits the filter.").waitFor();
  await page.keyboard.press("Escape");
  await expect.poll(() => shown.count()).toBeGreaterThan(70);
});

test.each([
  ["light", "rgb(255, 255, 255)"],
  ["dark", "rgb(17, 21, 29)"],
] as const)("it fits a phone, %s", async (colorScheme, background) => {
  const { page } = await open({ viewport: { width: 390, height: 844 }, colorScheme });
  expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe(background);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  expect(await page.locator("nav").isVisible()).toBe(false);
  await page.getByText("Contents", { exact: true }).click();
  await page.locator("nav a", { hasText: "upstream" }).click();
  expect(await page.locator("nav").isVisible()).toBe(false);
  expect(page.url()).toMatch(/#topic-upstream$/);
});
