import { defineConfig } from "vitest/config";

// Figures, not judgements: nothing is asserted but that the numbers are of what was asked for.
export default defineConfig({
  test: { environment: "node", include: ["e2e/speed.ts"], testTimeout: 3_600_000, hookTimeout: 3_600_000 },
});
