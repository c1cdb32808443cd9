// All commands from their arguments to their exit codes.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@im-gateway/tools/process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recordedLines } from "./output.ts";
import { expectCleanPrettyLines, sayHostileThings } from "./scenarios/logs.ts";
import { gatewayCommands } from "./world.ts";
import { freeAddress, launch, run, stdoutOf } from "./worlds/program.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "im-command-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function configFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe.each([...gatewayCommands, "im-logic"])("%s", (command) => {
  test("--help and --version end with 0 and print to stdout", async () => {
    const help = await run(command, ["--help"]);
    expect(help).toMatchObject({ code: 0 });
    expect(help.output).toContain("--config FILE");
    const version = await run(command, ["--version"]);
    expect(version.code).toBe(0);
    expect(version.output.trim()).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test.each([
    ["an unknown command", ["fly"], "fly"],
    ["an unknown option", ["--sett", "a=b"], "--set"],
    ["an unknown key", ["--set", "kafka.broker=x:1"], "kafka.brokers"],
    ["a wrong log level", ["--set", "log.level=verbose"], "debug, info, warn, error"],
    ["a bad value", ["--set", "jwt.access_token_expire=soon"], "jwt.access_token_expire"],
    ["a file that is not there", ["--config", "nowhere.yaml"], "nowhere.yaml"],
  ])("%s: exit 2 and a word on what is right", async (_name, args, hint) => {
    const { code, output } = await run(command, args);
    expect(code).toBe(2);
    expect(output).toContain(hint);
  });
});

describe.each([
  ["im-gateway", "im-gateway", "config.yaml"],
  ["im-gateway-bun", "im-gateway", "config.yaml"],
  ["im-logic", "im-logic", "im-logic.yaml"],
])("the configuration of %s", (command, name, committed) => {
  const committedFile = join(import.meta.dirname, "../../configs", committed);
  const wrong = "kafka:\n  borkers: [localhost:9092]\ncoordinator:\n  endpoints: [e:1]\n  lease_ttl: 1s\n";

  test("check-config says on stdout that it is good", async () => {
    const good = ["The configuration is good."];
    expect(await stdoutOf(command, ["check-config", "--config", committedFile])).toEqual(good);
    expect(await run(command, ["check-config"])).toEqual({ code: 0, output: good.join("\n") });
  });

  test.each(["check-config", "print-config", "serve"])(
    "%s lists every mistake on stderr, and exits with 2",
    async (word) => {
      const path = configFile("wrong.yaml", wrong);
      const args = [word, "--config", path, "--set", "log.level=loud"];
      expect(await run(command, args)).toEqual({
        code: 2,
        output: [
          `${name}: The configuration cannot be used. Correct this and start again:`,
          `  ${path}:2:3: kafka.borkers: not a key of the configuration; did you mean kafka.brokers?`,
          `  ${path}:5:14: coordinator.lease_ttl: "1s" is not a duration from 2s to 24h: write a number with its unit (ms, s, m, h), such as 30s`,
          '  --set log.level: "loud" is not one of debug, info, warn, error',
        ].join("\n"),
      });
      expect(await stdoutOf(command, args)).toEqual([]);
    },
  );

  test("print-config shows on stdout each value with its source, and no secret", async () => {
    const path = configFile("good.yaml", "jwt:\n  secret: canary\nkafka:\n  brokers: ['a:1', 'b:2']\n");
    const args = ["print-config", "--config", path, "--set", "log.level=warn"];
    const lines = await stdoutOf(command, args);
    expect(lines).toEqual(
      expect.arrayContaining([
        'app_env = "development"  # default',
        `jwt.secret = "***"  # ${path}:2`,
        `kafka.brokers = ["a:1","b:2"]  # ${path}:4`,
        "kafka.partitions = 6  # default",
        'log.level = "warn"  # --set',
        "coordinator.endpoints = null  # default",
      ]),
    );
    expect(lines.join("\n")).not.toContain("canary");
    expect((await run(command, args)).code).toBe(0);
  });
});

describe.each(gatewayCommands)("%s", (command) => {
  test("log.format: lines for people, and JSON where nobody reads along", async () => {
    const set = ["server.http_addr=127.0.0.1:0"];
    const people = launch("people", command, [...set, "log.format=pretty", "log.level=debug"]);
    const line = await people.waitForLine(/ INFO {2}server: listening .*http_addr="127\.0\.0\.1:\d+"/, 20_000);
    const address = /http_addr="([^"]+)"/.exec(line)?.[1];
    await sayHostileThings({ http: `http://${address}`, ws: `ws://${address}/ws`, metrics: "", internal: "" });
    expect((await people.stop()).code).toBe(0);
    expectCleanPrettyLines(recordedLines().filter(({ process }) => process === "people"));
    const programs = launch("programs", command, set);
    await programs.waitForLine(/^\{"level":"info","module":"server","message":"listening"/, 20_000);
    expect((await programs.stop()).code).toBe(0);
  });

  test("a port that is taken: exit 1 and the port", async () => {
    const address = await freeAddress();
    const first = launch("first", command, [`server.http_addr=${address}`]);
    await first.waitForLine(/"message":"listening"/, 20_000);
    const second = await run(command, [
      "--set",
      `server.http_addr=${address}`,
      "--set",
      "metrics.addr=127.0.0.1:0",
      "--set",
      "internal.addr=127.0.0.1:0",
    ]);
    expect(second.code).toBe(1);
    expect(second.output).toContain(address.split(":")[1]);
    expect((await first.stop()).code).toBe(0);
  });

  test("production refuses to start with what is only for development", async () => {
    const { code, output } = await run(command, ["--set", "app_env=production"]);
    expect(code).toBe(2);
    for (const key of ["jwt.secret", "kafka", "coordinator", "grpc.logic"]) {
      expect(output).toContain(key);
    }
  });

  test("while its parts are away it answers /health, says in /ready what it waits for, and ends with 0 on SIGTERM", async () => {
    const address = await freeAddress();
    const gateway = launch("waiting", command, [
      `server.http_addr=${address}`,
      `kafka.brokers=${await freeAddress()}`,
      `coordinator.endpoints=${await freeAddress()}`,
      "grpc.logic.service_name=im-logic",
    ]);
    const ready = await waitFor(() => fetch(`http://${address}/ready`), { timeoutMs: 10_000, what: "an answer" });
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ ready: false, reasons: expect.arrayContaining([expect.any(String)]) });
    expect((await fetch(`http://${address}/health`)).status).toBe(200);
    const call = await fetch(`http://${address}/api/v1/auth/login`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ username: "alice", password: "password123" }),
    });
    expect(call.status).toBe(503);
    expect((await gateway.stop()).code).toBe(0);
  });
});
