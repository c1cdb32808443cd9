// examples/web-chat as the embedded default serves it, in a real browser: two people, each in a window of their own.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type NewMessageData } from "@im-gateway/client";
import { waitFor } from "@im-gateway/tools/process";
import type { Browser, Page, Route } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startBrowser } from "./browser.ts";
import { gatewayCommands } from "./world.ts";
import { createProgram, freeAddress, launch, type Program } from "./worlds/program.ts";

const deadlineMs = 10_000;
let folder: string;
let url: string;
let gateway: Program;
let browser: Browser;
/** What the browser had to complain about. */
const complaints: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "im-gateway-web-chat-"));
  const address = await freeAddress();
  url = `http://${address}/`;
  const set = [`server.http_addr=${address}`, `data_dir=${folder}`];
  gateway = createProgram("gateway", "im-gateway", set, { holdsSockets: true, scratch: folder });
  [browser] = await Promise.all([startBrowser(), gateway.start()]);
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
  await rm(folder, { recursive: true });
});

async function window(size: { width: number; height: number }): Promise<Page> {
  const context = await browser.newContext({ viewport: size, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(deadlineMs);
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      complaints.push(message.text());
    }
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url);
  return page;
}

async function login(page: Page, username: string): Promise<void> {
  await page.getByLabel("Username", { exact: true }).fill(username);
  await page.getByLabel("Password").fill("password123");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("online", { exact: true }).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByLabel("Message", { exact: true }).press("Enter");
}

test("alice and bob chat", async () => {
  const alice = await window({ width: 1100, height: 700 });
  const bob = await window({ width: 390, height: 800 });
  await login(alice, "alice");
  await login(bob, "bob");

  await alice.getByLabel("Username or user id").fill("bob");
  await alice.getByRole("button", { name: "Start" }).click();
  await alice.getByRole("heading", { name: "bob" }).waitFor();
  await say(alice, "Hi Bob! Did the gateway restart go well?");

  // bob's list shows it, on a phone, and he opens it.
  await bob.getByLabel("1 unread").waitFor();
  await bob.getByRole("button", { name: /alice/ }).click();
  await bob.getByText("Did the gateway restart go well?").last().waitFor();
  await say(bob, "Yes. Nobody noticed:\nthe sockets came back by themselves.");
  await alice.getByText("the sockets came back").last().waitFor();
  await say(alice, "And <b>this</b> <img src=x onerror=alert(1)> is only text.");
  const text = bob.locator("#messages .content", { hasText: "is only text" });
  await text.waitFor();
  expect(await text.textContent()).toBe("And <b>this</b> <img src=x onerror=alert(1)> is only text.");
  expect(await bob.locator("#messages li").count()).toBe(3);
  await say(bob, "Good. Then we ship it today.");
  await alice.locator("#messages").getByText("ship it today").waitFor();

  // A gateway that comes back finds both again, with nothing lost and nothing twice.
  expect(complaints).toEqual([]);
  await gateway.restart("kill");
  await alice.getByText("online", { exact: true }).waitFor();
  await bob.getByRole("button", { name: "Back to the conversations" }).click();
  await bob.getByText("online", { exact: true }).waitFor();
  await bob.getByRole("button", { name: /alice/ }).click();
  await say(alice, "Deploying now.");
  await bob.locator("#messages").getByText("Deploying now.").waitFor();
  expect(await bob.locator("#messages li").count()).toBe(5);
  await expect.poll(() => bob.locator("#messages .about", { hasText: "sending" }).count()).toBe(0);

  // How docs/pictures/web-chat.png is made anew.
  const picture = process.env.WEB_CHAT_PICTURE;
  if (picture !== undefined) {
    await alice.screenshot({ path: picture });
  }

  // A reload keeps the session; logging out ends it.
  await alice.reload();
  await alice.getByText("online", { exact: true }).waitFor();
  await alice.getByRole("button", { name: "Log out" }).click();
  await alice.getByRole("button", { name: "Log in" }).waitFor();
}, 60_000);

test("a message that uses another one's client_msg_id hides nothing", async () => {
  const page = await window({ width: 800, height: 600 });
  await page.getByLabel("Username", { exact: true }).fill("Zoe");
  await page.getByRole("button", { name: "Join as guest" }).click();
  await page.getByText("online", { exact: true }).waitFor();
  const tokens = await createClient({ url, getToken: () => "" }).auth.guest({});
  const im = createClient({ url, getToken: () => tokens.access_token });
  await im.connect();
  const zoe = (await page.locator("#my-id").textContent()) ?? "";
  const { conversation_id } = await im.conversation.createConversation({ type: 1, member_ids: [zoe] });
  await im.sendMessage({ conversation_id, content: "hello" });
  await page.locator("#conversations button").click();
  const comes = new Promise<NewMessageData>((resolve) => im.on("new-message", resolve));
  await say(page, "the first");
  const { client_msg_id } = await comes;
  await im.sendMessage({ conversation_id, content: "the second", client_msg_id });
  await page.locator("#messages").getByText("the second").waitFor();
  expect(await page.locator("#messages .content").allTextContents()).toEqual(["hello", "the first", "the second"]);
  im.close();
});

test("who logs in after somebody else sees nothing of theirs, however slow the gateway is", async () => {
  const page = await window({ width: 800, height: 600 });
  const join = async (name: string): Promise<void> => {
    await page.getByLabel("Username", { exact: true }).fill(name);
    await page.getByRole("button", { name: "Join as guest" }).click();
    await page.getByText("online", { exact: true }).waitFor();
  };
  await join("first");
  const tokens = await createClient({ url, getToken: () => "" }).auth.guest({});
  const im = createClient({ url, getToken: () => tokens.access_token });
  await im.connect();
  const first = (await page.locator("#my-id").textContent()) ?? "";
  const { conversation_id } = await im.conversation.createConversation({ type: 1, member_ids: [first] });
  await im.sendMessage({ conversation_id, content: "hello" });
  await page.locator("#conversations button").click();
  await page.getByLabel("Message", { exact: true }).fill("a draft");
  const leaving = new Promise<Route>((resolve) => void page.route("**/api/v1/auth/logout", resolve));
  await page.getByRole("button", { name: "Log out" }).click();
  const logout = await leaving;
  await join("second");
  expect(await page.locator("#compose textarea").inputValue()).toBe("");
  await page.evaluate(() => {
    const list = document.getElementById("conversations") ?? document.body;
    new MutationObserver(() => {
      document.title += list.textContent;
    }).observe(list, { childList: true });
  });
  await im.sendMessage({ conversation_id, content: "for the first" });
  const second = (await page.locator("#my-id").textContent()) ?? "";
  const own = await im.conversation.createConversation({ type: 1, member_ids: [second] });
  await im.sendMessage({ conversation_id: own.conversation_id, content: "for the second" });
  await page.locator("#conversations").getByText("for the second").waitFor();
  expect(await page.title()).not.toContain("for the first");
  await logout.continue();
  im.close();
});

test("a wrong password is said, a guest needs none", async () => {
  const page = await window({ width: 800, height: 600 });
  await page.getByLabel("Username", { exact: true }).fill("alice");
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect.poll(() => page.getByRole("alert").first().textContent()).not.toBe("");
  await page.getByLabel("Username", { exact: true }).fill("Zoe");
  await page.getByRole("button", { name: "Join as guest" }).click();
  await page.getByText("online", { exact: true }).waitFor();
  await page.getByText("No conversations yet").waitFor();
});

test("the page takes nothing from elsewhere and runs nothing inline", async () => {
  const { headers } = await fetch(url);
  expect(headers.get("content-security-policy")).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'/);
  expect(headers.get("content-security-policy")).not.toMatch(/unsafe|https?:/);
  expect(headers.get("x-content-type-options")).toBe("nosniff");
});

test.each(
  gatewayCommands.flatMap((command) => [
    { command, logic: "embedded", set: [], status: 200 },
    { command, logic: "real", set: ["grpc.logic.direct_addr=127.0.0.1:1"], status: 404 },
  ]),
)("$command with the $logic im-logic answers / with $status", async ({ command, set, status }) => {
  const address = await freeAddress();
  const part = launch("gateway", command, [`server.http_addr=${address}`, ...set]);
  try {
    const answer = await waitFor(() => fetch(`http://${address}/`), { timeoutMs: deadlineMs, what: "an open port" });
    expect(answer.status).toBe(status);
  } finally {
    await part.stop();
  }
});
