import { defineConfig } from "vitest/config";

const conditions = ["@im-gateway/source"];

export default defineConfig({
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: [
      "packages/*/src/**/*.test.ts",
      "bench/src/**/*.test.ts",
      "chaos/src/**/*.test.ts",
      "conformance/src/**/*.test.ts",
      "tools/src/**/*.test.ts",
    ],
    maxWorkers: 2,
    // node:sqlite, and kafkajs on Node 24.
    execArgv: ["--disable-warning=ExperimentalWarning", "--disable-warning=TimeoutNegativeWarning"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    reporters: ["default", "./tools/src/totals-reporter.ts"],
  },
});
