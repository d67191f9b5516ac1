/** `npm start`: sets itself up on a fresh clone, then runs the device (examples/device/main.ts). */
import { launch } from "./launch.js";

await launch("examples/device/main.ts", process.argv.slice(2));
