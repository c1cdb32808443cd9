// Both commands from their arguments to their exit codes.
import { waitFor } from "@im-gateway/tools/process";
import { describe, expect, test } from "vitest";
import { freeAddress, launch, run } from "./worlds/program.ts";

describe.each(["im-gateway", "im-logic"])("%s", (command) => {
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
    ["a bad value", ["--set", "jwt.access_token_expire=soon"], "jwt.access_token_expire"],
    ["a file that is not there", ["--config", "nowhere.yaml"], "nowhere.yaml"],
  ])("%s: exit 2 and a word on what is right", async (_name, args, hint) => {
    const { code, output } = await run(command, args);
    expect(code).toBe(2);
    expect(output).toContain(hint);
  });
});

describe("im-gateway", () => {
  test("a port that is taken: exit 1 and the port", async () => {
    const address = await freeAddress();
    const first = launch("first", "im-gateway", [`server.http_addr=${address}`]);
    await first.waitForLine(/"message":"listening"/, 20_000);
    const second = await run("im-gateway", [
      "--set",
      `server.http_addr=${address}`,
      "--set",
      "metrics.addr=127.0.0.1:0",
    ]);
    expect(second.code).toBe(1);
    expect(second.output).toContain(address.split(":")[1]);
    expect((await first.stop()).code).toBe(0);
  });

  test("production refuses to start with what is only for development", async () => {
    const { code, output } = await run("im-gateway", ["--set", "app_env=production"]);
    expect(code).toBe(2);
    for (const key of ["jwt.secret", "kafka", "coordinator", "grpc.logic"]) {
      expect(output).toContain(key);
    }
  });

  test("while its parts are away it answers /health, says in /ready what it waits for, and ends with 0 on SIGTERM", async () => {
    const address = await freeAddress();
    const gateway = launch("waiting", "im-gateway", [
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
