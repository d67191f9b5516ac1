/** Interop suites: one test at a time, for they share the machine's namespaces, ports and processors. */
export default {
  extensions: { ts: "module" },
  nodeArguments: ["--import=tsx"],
  workerThreads: false,
  files: ["test/interop/**/*.test.ts"],
  concurrency: 1,
  serial: true,
  timeout: "5m",
};
