/** Duktape's C sources, from Debian's source package. */
import { join } from "node:path";
import { debianSource } from "./debian-source.js";

/** The folder with duktape.c, duktape.h and duk_config.h. Throws when there is neither a copy nor a way to get one. */
export function duktapeSource(build: string): string {
  return join(debianSource(build, "duktape", ["*/src-noline/*", "*/LICENSE.txt"]), "src-noline");
}
