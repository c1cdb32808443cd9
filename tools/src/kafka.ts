// A real Apache Kafka for tests: one combined KRaft node, from the jars on Maven Central.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { downloaded, type Progress, runDownloader } from "./downloads.ts";
import { freePort } from "./free-port.ts";
import { startProcess } from "./process.ts";
import { createRealPart, partWhenReady, type RealPart } from "./real-part.ts";

const kafkaVersion = "4.4.0";
const log4jVersion = "2.25.5";
/** Any 16 bytes in base64. */
const clusterId = "MkU3OEVBNTcwNTJENDM2Qg";
const startTimeoutMs = 60_000;
const jvmOptions = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

export interface Kafka extends RealPart {
  /** `["127.0.0.1:port"]` */
  readonly brokers: readonly string[];
}

/** The folder of Kafka's jars; fetched (43 MB) when they are not there. Needs Maven. */
export function installKafka(progress: Progress = () => {}): string {
  return downloaded(
    {
      name: `kafka-${kafkaVersion}`,
      announce: `Fetching Apache Kafka ${kafkaVersion} by Maven (43 MB, once) …`,
      fetch(folder) {
        writeFileSync(join(folder, "pom.xml"), pom);
        const goal = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies";
        runDownloader("mvn", ["-q", "-B", goal, "-DoutputDirectory=jars", "-DincludeScope=runtime"], folder);
      },
    },
    progress,
  );
}

/**
 * Starts a broker on a free port of 127.0.0.1 with its data in a temporary folder; resolves when it takes requests (about 3 s). Topics
 * are not made by themselves.
 */
export async function startKafka(): Promise<Kafka> {
  const classPath = join(installKafka(), "jars", "*");
  const folder = mkdtempSync(join(tmpdir(), "im-gateway-kafka-"));
  const brokerPort = await freePort();
  const properties = join(folder, "kafka.properties");
  const logging = join(folder, "log4j2.properties");
  mkdirSync(join(folder, "data"));
  writeFileSync(properties, brokerProperties(join(folder, "data"), brokerPort, await freePort()));
  writeFileSync(logging, loggingProperties);
  const java = (name: string, heap: readonly string[], args: readonly string[]) =>
    startProcess({
      name,
      command: "java",
      args: ["-cp", classPath, ...heap, ...jvmOptions, `-Dlog4j2.configurationFile=${logging}`, ...args],
      scratch: folder,
    });

  let formatted = false;
  const format = async (): Promise<void> => {
    const part = java(
      "Kafka's StorageTool",
      ["-Xmx128m"],
      ["kafka.tools.StorageTool", "format", "-t", clusterId, "-c", properties],
    );
    const { code } = await part.exited;
    if (code !== 0) throw new Error(`Kafka's StorageTool failed with exit code ${code}:\n${part.output.join("\n")}`);
    formatted = true;
  };
  const part = await createRealPart(folder, async () => {
    if (!formatted) await format();
    const broker = java("Kafka", ["-Xms128m", "-Xmx384m"], ["kafka.Kafka", properties]);
    return partWhenReady(broker, /Kafka Server started/, startTimeoutMs);
  });
  return Object.assign(part, { brokers: [`127.0.0.1:${brokerPort}`] });
}

// The short session lets a killed broker back after 4 s: until its old session is over, the controller refuses its registration.
function brokerProperties(dataFolder: string, brokerPort: number, controllerPort: number): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${brokerPort},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${brokerPort}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=${dataFolder}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=2097152
`;
}

const loggingProperties = `status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1}: %m%n%throwable
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=info
`;

// Without log4j a failed start would be silent.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>im-gateway</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${kafkaVersion}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>${log4jVersion}</version>
    </dependency>
  </dependencies>
</project>
`;
