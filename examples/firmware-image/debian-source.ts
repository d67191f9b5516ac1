/**
 * Upstream sources from the source packages of the machine's own Debian: `apt-get source` with a private list of sources, which says
 * `deb-src` where the machine's says `deb`. Nothing of the system is changed; the result stays in the build's folder.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The folder `build`/sources/`name` with what `patterns` (tar's, in the archive) take from the sources of the package `name`, without the
 * archive's own top folder. Throws when there is neither a copy nor a way to get one.
 */
export function debianSource(build: string, name: string, patterns: readonly string[]): string {
  const folder = join(build, "sources", name);
  if (existsSync(folder)) return folder;
  const scratch = join(build, "sources", `${name}-${process.pid}`);
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(join(scratch, "lists/partial"), { recursive: true });
  mkdirSync(join(scratch, "sources"));
  mkdirSync(join(scratch, "taken"));
  for (const [list, text] of sourceLists()) writeFileSync(join(scratch, "sources", list), text);
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
  apt("source", "--download-only", name);
  const archive = readdirSync(scratch).find((file) => file.includes(".orig.tar."));
  if (archive === undefined) throw new Error(`apt-get source ${name} brought no archive`);
  const taking = ["xf", archive, "-C", "taken", "--strip-components=1", "--wildcards", ...patterns];
  execFileSync("tar", taking, { cwd: scratch });
  renameSync(join(scratch, "taken"), folder);
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
