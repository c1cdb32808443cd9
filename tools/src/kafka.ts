// A real Apache Kafka for tests and `make dev`: one combined KRaft node, or several as a cluster, from the jars on Maven Central.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { downloaded, type Progress, runDownloader } from "./downloads.ts";
import { freePort } from "./free-port.ts";
import { type Command, startProcess } from "./process.ts";
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

export interface KafkaPorts {
  readonly broker: number;
  readonly controller: number;
  /** A second listener, which tells its clients to come to another port of 127.0.0.1: to a proxy's. */
  readonly proxied?: { readonly port: number; readonly advertised: number } | undefined;
}

/** One of a cluster's nodes; without it a broker is alone. */
interface ClusterNode {
  /** From 1. */
  readonly id: number;
  /** The controller ports of all nodes, by id. */
  readonly controllers: readonly number[];
}

/** Writes the settings of a broker on 127.0.0.1 into `folder`, which also takes its data, and says how to run it. Topics are not made by themselves. */
export function prepareKafka(
  folder: string,
  ports: KafkaPorts,
  node?: ClusterNode,
): {
  /** To be run to its end before the broker starts for the first time; harmless later. */
  readonly format: Command;
  /** Has started when it prints `Kafka Server started`. */
  readonly broker: Command;
} {
  const classPath = join(installKafka(), "jars", "*");
  const properties = join(folder, "kafka.properties");
  const logging = join(folder, "log4j2.properties");
  const data = join(folder, "data");
  mkdirSync(data, { recursive: true });
  writeFileSync(properties, brokerProperties(data, ports, node));
  writeFileSync(logging, loggingProperties);
  const java = (heap: readonly string[], args: readonly string[]): Command => ({
    command: "java",
    args: ["-cp", classPath, ...heap, ...jvmOptions, `-Dlog4j2.configurationFile=${logging}`, ...args],
  });
  const storageTool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", clusterId, "-c", properties];
  return {
    format: java(["-Xmx128m"], storageTool),
    broker: java(["-Xms128m", "-Xmx384m"], ["kafka.Kafka", properties]),
  };
}

/** Starts a broker on a free port of 127.0.0.1 with its data in a temporary folder; resolves when it takes requests (about 3 s). */
export async function startKafka({ proxied }: Pick<KafkaPorts, "proxied"> = {}): Promise<Kafka> {
  return startBroker({ broker: await freePort(), controller: await freePort(), proxied });
}

export interface KafkaCluster {
  /** `["127.0.0.1:port", …]`, in the order of `nodes`. */
  readonly brokers: readonly string[];
  /** Node ids are 1, 2, … in this order. A single one restarts only while a majority of the others runs. */
  readonly nodes: readonly Kafka[];
  /** Stops all, and removes their data. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts `count` brokers as one cluster that survives the loss of one of three: each copy on every broker (3 at most), acks by a majority, no
 * unclean leader. Resolves when all take requests (about 10 s for three). A dead leader is replaced within 2–4 s.
 */
export async function startKafkaCluster(count: number): Promise<KafkaCluster> {
  const ports: KafkaPorts[] = [];
  while (ports.length < count) {
    const [broker, controller] = [await freePort(), await freePort()];
    const taken = new Set([broker, controller, ...ports.flatMap((used) => [used.broker, used.controller])]);
    if (taken.size === 2 * ports.length + 2) ports.push({ broker, controller });
  }
  const controllers = ports.map(({ controller }) => controller);
  // None is ready before a majority is there: all at once.
  const started = await Promise.allSettled(ports.map((own, index) => startBroker(own, { id: index + 1, controllers })));
  const nodes = started.filter((result) => result.status === "fulfilled").map(({ value }) => value);
  const stop = async (): Promise<void> => {
    // One that is frozen would not hear it, and the last ones have no majority to leave in good order.
    await Promise.all(nodes.map((node) => node.kill()));
    await Promise.all(nodes.map((node) => node.stop()));
  };
  const failed = started.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return { brokers: nodes.flatMap(({ brokers }) => brokers), nodes, stop };
}

async function startBroker(ports: KafkaPorts, node?: ClusterNode): Promise<Kafka> {
  const folder = mkdtempSync(join(tmpdir(), "im-gateway-kafka-"));
  const { format, broker } = prepareKafka(folder, ports, node);
  let formatted = false;
  const part = await createRealPart(folder, async () => {
    if (!formatted) {
      const tool = startProcess({ name: "Kafka's StorageTool", ...format, scratch: folder });
      const { code } = await tool.exited;
      if (code !== 0) throw new Error(`${tool.name} failed with exit code ${code}:\n${tool.output.join("\n")}`);
      formatted = true;
    }
    const started = startProcess({ name: "Kafka", ...broker, scratch: folder });
    return partWhenReady(started, /Kafka Server started/, startTimeoutMs);
  });
  return Object.assign(part, { brokers: [`127.0.0.1:${ports.broker}`] });
}

function brokerProperties(dataFolder: string, { broker, controller, proxied }: KafkaPorts, node?: ClusterNode): string {
  const { id, controllers } = node ?? { id: 1, controllers: [controller] };
  const beside = (port?: number): string => (port === undefined ? "" : `,PROXIED://127.0.0.1:${port}`);
  const copies = Math.min(controllers.length, 3);
  const minInSync = Math.ceil((copies + 1) / 2);
  return `process.roles=broker,controller
node.id=${id}
controller.quorum.voters=${controllers.map((port, index) => `${index + 1}@127.0.0.1:${port}`).join(",")}
listeners=PLAINTEXT://127.0.0.1:${broker},CONTROLLER://127.0.0.1:${controller}${beside(proxied?.port)}
advertised.listeners=PLAINTEXT://127.0.0.1:${broker}${beside(proxied?.advertised)}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=${dataFolder}
auto.create.topics.enable=false
default.replication.factor=${copies}
min.insync.replicas=${minInSync}
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=${copies}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=${copies}
transaction.state.log.min.isr=${minInSync}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=${copies}
share.coordinator.state.topic.min.isr=${minInSync}
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=2097152
${node === undefined ? aloneProperties : clusterProperties}`;
}

// The short session lets a killed broker back after 4 s: until its old session is over, the controller refuses its registration.
const aloneProperties = `broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
`;

// Short, so that a dead or frozen leader is replaced within 2–4 s.
const clusterProperties = `broker.heartbeat.interval.ms=300
broker.session.timeout.ms=2000
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
replica.lag.time.max.ms=3000
replica.fetch.wait.max.ms=100
unclean.leader.election.enable=false
`;

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
