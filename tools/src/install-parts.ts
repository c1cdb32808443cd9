// install-parts.ts [NAME ...]: fetches what a target of make needs, everything without a name: the real Kafka and etcd that tests start, and the
// schemas that deploy/ is checked against. Nothing to do and nothing to say when they are there.
import { installEtcd } from "./etcd.ts";
import { installKafka } from "./kafka.ts";
import { installKubernetesSchemas } from "./kubernetes-schemas.ts";

const parts = new Map([
  ["kafka", installKafka],
  ["etcd", installEtcd],
  ["kubernetes-schemas", installKubernetesSchemas],
]);

const names = process.argv.slice(2);
for (const name of names.length > 0 ? names : parts.keys()) {
  const install = parts.get(name);
  try {
    if (install === undefined) throw new Error(`there is no part ${name}, only ${[...parts.keys()].join(", ")}`);
    install(console.log);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
