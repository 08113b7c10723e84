import { defineConfig } from "vitest/config";

// One server, one browser, one story after the other.
export default defineConfig({
  test: { environment: "node", include: ["e2e/**/*.test.ts"], fileParallelism: false, testTimeout: 480_000, hookTimeout: 120_000, bail: 1 },
});
