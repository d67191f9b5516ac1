/**
 * Duktape's C sources, from the source package of the machine's own Debian: `apt-get source` with a private list of sources, which
 * says `deb-src` where the machine's says `deb`. Nothing of the system is changed; the result stays in build/duktape.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The folder with duktape.c, duktape.h and duk_config.h. Throws when there is neither a copy nor a way to get one. */
export function duktapeSource(build: string): string {
  const folder = join(build, "duktape");
  if (existsSync(join(folder, "duktape.c"))) return folder;
  const scratch = join(build, `duktape-${process.pid}`);
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(join(scratch, "lists/partial"), { recursive: true });
  mkdirSync(join(scratch, "sources"));
  for (const [name, text] of sourceLists()) writeFileSync(join(scratch, "sources", name), text);
  const apt = (...parameters: string[]) =>
    execFileSync(
      "apt-get",
      [
        "-qq",
        ...["-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root"],
        ...["-o", "Dir::Etc::sourcelist=/dev/null", "-o", `Dir::Etc::sourceparts=${scratch}/sources`],
        ...["-o", `Dir::State::lists=${scratch}/lists`],
        ...parameters,
      ],
      { cwd: scratch, stdio: ["ignore", "ignore", "inherit"] },
    );
  apt("update");
  apt("source", "--download-only", "duktape");
  const archive = readdirSync(scratch).find((name) => name.includes(".orig.tar."));
  if (archive === undefined) throw new Error("apt-get source duktape brought no archive");
  execFileSync(
    "tar",
    ["xf", archive, "--strip-components=1", "--wildcards", "*/src-noline/*", "*/LICENSE.txt"],
    {
      cwd: scratch,
    },
  );
  rmSync(folder, { recursive: true, force: true });
  renameSync(join(scratch, "src-noline"), folder);
  renameSync(join(scratch, "LICENSE.txt"), join(folder, "LICENSE.txt"));
  rmSync(scratch, { recursive: true });
  return folder;
}

/** The machine's lists of sources, by file name, for source packages. */
function sourceLists(): [name: string, text: string][] {
  const lists: [string, string][] = [];
  const folder = "/etc/apt/sources.list.d";
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const path of ["/etc/apt/sources.list", ...files]) {
    if (!/\.(list|sources)$/.test(path) || !existsSync(path)) continue;
    const text = readFileSync(path, "utf8");
    const changed = path.endsWith(".list")
      ? text.replace(/^\s*deb\s/gm, "deb-src ")
      : text.replace(/^Types:.*$/gm, "Types: deb-src");
    lists.push([path.split("/").at(-1)!, changed]);
  }
  return lists;
}
