// Fetches the real Kafka and etcd that the tests start, and the schemas that deploy/ is checked against. Nothing to do and nothing to say when they are there.
import { installEtcd } from "./etcd.ts";
import { installKafka } from "./kafka.ts";
import { installKubernetesSchemas } from "./kubernetes-schemas.ts";

for (const install of [installKafka, installEtcd, installKubernetesSchemas]) {
  try {
    install(console.log);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
