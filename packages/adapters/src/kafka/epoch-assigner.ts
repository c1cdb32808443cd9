// Who of a group gets the partitions when its members are lives of one consumer: the latest one gets all.
import { type Assigner, AssignerProtocol, type GroupMember, type PartitionAssigner } from "kafkajs";

const { MemberAssignment, MemberMetadata } = AssignerProtocol;

/** Ranks the lives of one consumer, first by epoch. */
export interface Life {
  readonly epoch: number;
  /** Ranks those of one epoch: the joins of one process. */
  readonly attempt: number;
}

/**
 * Gives every partition to the member with the highest epoch. It gets each topic by name, also one that has no partitions for the moment;
 * a member whose assignment names no topic has been replaced.
 */
export function createEpochAssigner(life: () => Life): PartitionAssigner {
  return ({ cluster }): Assigner => ({
    name: "highest-epoch",
    version: 0,
    protocol({ topics }) {
      return { name: this.name, metadata: MemberMetadata.encode({ version: 0, topics, userData: encode(life()) }) };
    },
    async assign({ members, topics }) {
      const winner = members.reduce((best, member) => (isLater(decode(member), decode(best)) ? member : best));
      const partitionsOf = (topic: string): number[] =>
        cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId);
      const all = Object.fromEntries(topics.map((topic) => [topic, partitionsOf(topic)]));
      return members.map((member) => ({
        memberId: member.memberId,
        memberAssignment: MemberAssignment.encode({
          version: 0,
          assignment: member === winner ? all : {},
          userData: Buffer.alloc(0),
        }),
      }));
    },
  });
}

function isLater(one: Life, other: Life): boolean {
  return one.epoch === other.epoch ? one.attempt > other.attempt : one.epoch > other.epoch;
}

function encode({ epoch, attempt }: Life): Buffer {
  return Buffer.from(`${epoch}/${attempt}`);
}

function decode({ memberMetadata }: GroupMember): Life {
  const [epoch, attempt] = String(MemberMetadata.decode(memberMetadata)?.userData ?? "").split("/");
  return { epoch: Number(epoch), attempt: Number(attempt) };
}
