/** The project's files, for the tests that look at sources. */
import { readdirSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** All files below `folder` whose name ends in `ending`: paths relative to the project's folder, with slashes, sorted. */
export function filesBelow(folder: string, ending = ".ts"): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(ending))
    .map((path) => join(folder, path).replaceAll(sep, "/"))
    .sort();
}
