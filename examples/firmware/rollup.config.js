/**
 * The recipe for firmware: from an entry with your list of components to one ES5 script. Copy it into your project.
 *
 *   npm install --save-dev anystack rollup terser typescript
 *   npx rollup -c --configEntry udp.ts --configFile build/udp.js
 *
 * Further options: `--configName NAME`, the global variable that holds the entry's exports (default `anystack`), and
 * `--configFormat esm` for an engine that knows modules; `--configSingle` for a script that makes one stack and refuses a second,
 * and `--configClosed` for one with the application inside, whose API's names are shortened as well.
 */
import firmware from "anystack/firmware";

export default firmware;
