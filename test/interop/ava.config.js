/** Interop suites: two files at a time, the tests of each one after the other: they wait more than they work, and each has its namespaces. */
export default {
  extensions: { ts: "module" },
  nodeArguments: ["--import=tsx"],
  workerThreads: false,
  files: ["test/interop/**/*.test.ts"],
  concurrency: 2,
  serial: true,
  timeout: "5m",
};
