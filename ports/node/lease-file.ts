/** A store of leases in a file: a line a record, appended; what is written outlives this process, however that ends. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import type { LeaseStore } from "../../stack/service/lease-store.js";

export interface LeaseFileOptions {
  /** Waits with each record until the disk has it: leases survive a power cut too. Default false. */
  sync?: boolean;
}

/** Longest record that is read back, characters. */
const LONGEST = 1000;

/**
 * Opens the store in the file `path`, made when it is not there; its folder must exist. One process at a time. Errors (thrown):
 * those of `fs.openSync`. Later ones are told by `append` and `rewrite`, which return false then.
 */
export function leaseFile(path: string, options: LeaseFileOptions = {}): LeaseStore & { close(): void } {
  let fd = openSync(path, "a+");
  /** The file ends within a line that was cut: by a full disk, or a machine that went down. */
  let torn = false;

  function write(target: number, text: string): boolean {
    const bytes = Buffer.from(text, "latin1");
    const written = writeSync(target, bytes);
    if (options.sync) fsyncSync(target);
    return written === bytes.length;
  }

  return {
    load(take) {
      const lines = readFileSync(path, "latin1").split("\n");
      torn = lines.pop() !== "";
      for (const line of lines) if (line !== "" && line.length <= LONGEST) take(line);
    },
    append(record) {
      try {
        const whole = write(fd, (torn ? "\n" : "") + record + "\n");
        torn = !whole;
        return whole;
      } catch {
        torn = true;
        return false;
      }
    },
    rewrite(records) {
      const next = path + ".new";
      try {
        const target = openSync(next, "w");
        const text = records.map((record) => record + "\n").join("");
        const whole = write(target, text);
        // The new file must be whole before it takes the old one's place.
        fsyncSync(target);
        closeSync(target);
        if (!whole) return false;
        renameSync(next, path);
        closeSync(fd);
        fd = openSync(path, "a+");
        torn = false;
        return true;
      } catch {
        return false;
      }
    },
    time: () => Math.floor(Date.now() / 1000),
    close() {
      closeSync(fd);
    },
  };
}
