// What the command line may say, and what a short run says that it was held to.
import { expect, test } from "vitest";
import { readOptions, usage } from "./options.ts";
import { formatTable, describe as inWords } from "./report.ts";
import { runScenario, type Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";

const scenario: Scenario = {
  name: "one",
  title: "killed 10 times",
  promise: "within 3 s",
  shortPromise: "within 20 s",
  run: async () => ({
    account: { sent: 0, acked: 0, in_log: 0, delivered: 0, duplicated: 0, out_of_order: 0, missing: 0 },
    further: {},
    failures: [],
  }),
};

test.each([
  [["--nonsense"], /--nonsense/],
  [["--json"], /--json/],
  [["two"], /there is no scenario two/],
  [["--write", "--short"], /--write needs all scenarios/],
  [["--write", "one"], /--write needs all scenarios/],
])("%j is refused", (args, error) => {
  expect(readOptions(args, [scenario])).toEqual({ error: expect.stringMatching(error) });
});

test("names and options are read, and the usage names what a short run is held to", () => {
  expect(readOptions(["one", "--short"], [scenario])).toEqual({
    options: { names: ["one"], short: true, write: false, help: false, json: undefined, logs: undefined },
  });
  expect(usage([scenario])).toContain("one: within 20 s");
});

test("a short run never claims the full promise, a full one does", async () => {
  const [short, full] = [
    await runScenario(scenario, { scale: "short", progress: () => {} }),
    await runScenario(scenario, { scale: "full", progress: () => {} }),
  ];
  expect(short).toMatchObject({ promise: "within 20 s", title: "short form of: killed 10 times" });
  expect(full).toMatchObject({ promise: "within 3 s", title: "killed 10 times" });
  expect(inWords(short)).toContain("must hold: within 20 s");
  expect(formatTable([short])).toMatch(/held \(short form\)/);
  expect(formatTable([full])).not.toContain("short");
});

test.each(["gateway-restarted", "gateway-drained", "never-reading"])("%s has bounds of its own in short", (name) => {
  const { promise, shortPromise } = scenarios.find((one) => one.name === name) ?? {};
  expect(shortPromise).toEqual(expect.any(String));
  expect(shortPromise).not.toBe(promise);
});
