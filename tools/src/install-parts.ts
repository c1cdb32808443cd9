// Fetches the real Kafka and etcd that the tests start. Nothing to do and nothing to say when they are there.
import { installEtcd } from "./etcd.ts";
import { installKafka } from "./kafka.ts";

for (const install of [installKafka, installEtcd]) {
  try {
    install(console.log);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
