// make bench: the gateway against the control, run by run, as a table.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startKafka } from "@im-gateway/tools/kafka";
import { Kafka, logLevel } from "kafkajs";
import { createTopic, type MeasureOptions, measure, type Sample } from "./measure.ts";
import { describeProfile } from "./profile.ts";
import { formatTable, type Pair, type Result, summarize } from "./report.ts";
import { type Scenario, scenarios } from "./scenarios.ts";
import {
  type GatewayName,
  gateways,
  type ServerName,
  sharedPartitions,
  upstreamTopic,
  userEventsTopic,
} from "./servers.ts";

const usage = `make bench ARGS="…": CPU time a unit of work of a gateway, against a plain server on the same libraries
  --runs N        pairs of runs a scenario (default 3)
  --only NAME     one scenario: ${scenarios.map(({ name }) => name).join(", ")}
  --gateway NAME  ${gateways.join(" or ")} (default both)
  --json FILE     write the results and all samples there as well
  --profile       one more run of both a scenario, and the functions that cost most; on Node only
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "3" },
      only: { type: "string" },
      gateway: { type: "string" },
      json: { type: "string" },
      profile: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const runs = Number(values.runs);
  const chosen = scenarios.filter(({ name }) => values.only === undefined || name === values.only);
  const compared = gateways.filter((name) => values.gateway === undefined || name === values.gateway);
  const profiled = values.profile && compared.includes("im-gateway") ? chosen : [];
  const unusable = compared.length === 0 || (values.profile && profiled.length === 0);
  if (values.help || unusable || chosen.length === 0 || !Number.isInteger(runs) || runs < 1) {
    process.stderr.write(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  if (process.platform !== "linux") throw new Error("CPU time is read from /proc: make bench needs Linux");

  const { results, profiles } = await withKafka(async (options) => {
    const measured: Result[] = [];
    for (const scenario of chosen) {
      for (const gateway of compared) {
        measured.push(summarize(scenario, gateway, await compare(gateway, scenario, runs, options)));
      }
    }
    const described: string[] = [];
    for (const scenario of profiled) {
      for (const server of ["im-gateway", "control"] as const)
        described.push(await profileOf(server, scenario, options));
    }
    return { results: measured, profiles: described };
  });
  console.log(formatTable(results));
  for (const profile of profiles) console.log(`\n${profile}`);
  if (values.json !== undefined) {
    const machine = { cpus: cpus().length, model: cpus()[0]?.model, node: process.version };
    writeFileSync(values.json, `${JSON.stringify({ date: new Date().toISOString(), machine, results }, null, 2)}\n`);
  }
}

/** A Kafka for this run alone. */
async function withKafka<T>(use: (options: MeasureOptions) => Promise<T>): Promise<T> {
  const broker = await startKafka();
  try {
    const { brokers } = broker;
    const kafka = new Kafka({ clientId: "bench", brokers: [...brokers], logLevel: logLevel.NOTHING });
    for (const topic of [upstreamTopic, userEventsTopic]) await createTopic(kafka, topic, sharedPartitions);
    return await use({ kafka, brokers });
  } finally {
    await broker.stop();
  }
}

/** The two take turns, and in being first as well: what else the machine does weighs on both. */
async function compare(
  gatewayName: GatewayName,
  scenario: Scenario,
  runs: number,
  options: MeasureOptions,
): Promise<readonly Pair[]> {
  const pairs: Pair[] = [];
  const run = async (server: ServerName): Promise<Sample> => {
    const sample = await measure(server, scenario, options);
    const cost = `${sample.cpuUs.toFixed(1)} µs per ${scenario.unit}, the clients ${sample.generatorCpuUs.toFixed(1)} µs`;
    process.stderr.write(`${scenario.name}, ${server}: ${cost}, ${sample.bytesPerUnit.toFixed(0)} bytes\n`);
    return sample;
  };
  for (let index = 0; index < runs; index += 1) {
    if (index % 2 === 0) {
      const control = await run("control");
      pairs.push({ control, gateway: await run(gatewayName) });
    } else {
      const gateway = await run(gatewayName);
      pairs.push({ gateway, control: await run("control") });
    }
  }
  return pairs;
}

async function profileOf(server: ServerName, scenario: Scenario, options: MeasureOptions): Promise<string> {
  const profileFolder = mkdtempSync(join(tmpdir(), "im-gateway-profile-"));
  try {
    const { windowUs } = await measure(server, scenario, { ...options, profileFolder });
    const title = `${scenario.title}: ${server}, µs per ${scenario.unit}, by package and by function`;
    return `${title}\n${describeProfile(profileFolder, windowUs, scenario.units)}`;
  } finally {
    rmSync(profileFolder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`make bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
