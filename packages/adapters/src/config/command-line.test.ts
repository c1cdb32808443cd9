import { describe, expect, test } from "vitest";
import { type CommandLine, parseCommandLine } from "./index.ts";

const program: CommandLine<"serve" | "check"> = {
  name: "im-gateway",
  summary: "the gateway",
  commands: { serve: "run it", check: "check it" },
  defaultCommand: "serve",
};

test.each([
  [[], { command: "serve", set: [] }],
  [["serve"], { command: "serve", set: [] }],
  [["check", "--config", "c.yaml"], { command: "check", configFile: "c.yaml", set: [] }],
  [["--config=c.yaml", "serve"], { command: "serve", configFile: "c.yaml", set: [] }],
  [["--set", "a.b=c=d", "--set=e=f,g"], { command: "serve", set: ["a.b=c=d", "e=f,g"] }],
  [["--set", "a=-1"], { command: "serve", set: ["a=-1"] }],
])("%j", (argv, invocation) => {
  expect(parseCommandLine(argv, program)).toEqual({ kind: "run", ...invocation });
});

test("--version", () => {
  expect(parseCommandLine(["--version"], program)).toEqual({ kind: "version" });
});

test.each([[["--help"]], [["serve", "--help"]], [["--nonsense", "--help"]]])(
  "%j shows commands and options",
  (argv) => {
    const asked = parseCommandLine(argv, program);
    const text = asked.kind === "help" ? asked.text : "";
    for (const part of [
      "im-gateway: the gateway",
      "serve ",
      "run it (the default)",
      "check ",
      "--config FILE",
      "--set KEY=VALUE",
    ]) {
      expect(text).toContain(part);
    }
  },
);

describe("mistakes", () => {
  test.each([
    [["--confg", "serve"], ["unknown option --confg; did you mean --config?"]],
    [["-x"], ["unknown option -x"]],
    [["srve"], ["unknown command srve; did you mean serve?"]],
    [["serve", "check"], ["one command at a time, not serve and check"]],
    [["--config"], ["--config wants a value: --config FILE"]],
    [["--config="], ["--config wants a value: --config FILE"]],
    [
      ["--config", "--set", "a=b"],
      ["--config wants a value: --config FILE", "unknown command a=b"],
    ],
    [["--set"], ["--set wants a value: --set KEY=VALUE"]],
    [["--version=1"], ["--version takes no value"]],
    [["--config", "a", "--config", "b"], ["--config can be given only once"]],
    [
      ["toString", "--constructor"],
      ["unknown command toString", "unknown option --constructor"],
    ],
  ])("%j", (argv, mistakes) => {
    const lines = mistakes.map((mistake) => `im-gateway: ${mistake}`);
    expect(parseCommandLine(argv, program)).toEqual({
      kind: "mistake",
      message: [...lines, "See im-gateway --help."].join("\n"),
    });
  });
});
