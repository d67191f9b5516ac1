/** Engines: one process after the other, for they are measured and built. */
export default {
  extensions: { ts: "module" },
  nodeArguments: ["--import=tsx"],
  workerThreads: false,
  files: ["test/engines/**/*.test.ts"],
  concurrency: 1,
  timeout: "5m",
};
