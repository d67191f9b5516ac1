/** The compiled tests, as the project's commands run them. A single source runs by `npx ava FILE` (see package.json). */
export default {
  nodeArguments: ["--enable-source-maps"],
  workerThreads: false,
  files: ["build/test/test/**/*.test.js"],
  timeout: "5m",
};
