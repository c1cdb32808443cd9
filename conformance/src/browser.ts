// A real Chromium for tests of pages: unpacked from an npm package into the temporary folder, so nothing has to be installed.
import chromium from "@sparticuz/chromium";
import { type Browser, chromium as playwright } from "playwright-core";

/** The caller closes it. */
export async function startBrowser(): Promise<Browser> {
  return playwright.launch({
    executablePath: await chromium.executablePath(),
    // Not the package's own arguments: they switch off the web's security.
    args: ["--no-sandbox"],
  });
}
