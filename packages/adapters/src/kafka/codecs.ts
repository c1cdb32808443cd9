// Packed batches: kafkajs reads gzip by itself, and zstd by this. Snappy and LZ4, which no runtime brings, it can not read.
import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
// Not by name: Node sees only the first of the names that this CommonJS module exports.
import kafkajs from "kafkajs";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
const zstd = {
  compress: ({ buffer }: { readonly buffer: Buffer }): Promise<Buffer> => compress(buffer),
  decompress: (packed: Buffer): Promise<Buffer> => decompress(packed),
};

/** kafkajs has one table of codecs for the whole process; may be called again. */
export function addCodecs(): void {
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => zstd;
}
