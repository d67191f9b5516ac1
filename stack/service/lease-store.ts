/**
 * Where servers keep what they have given, so that it is known after a restart: an append-only log that the host holds. Types
 * alone; `ports/node` has one in a file.
 */

/** A log of records. Nothing here may throw: a store that cannot do its work says false. */
export interface LeaseStore {
  /** Calls `take` with each record of old, in their order. Once, before anything is appended. */
  load(take: (record: string) => void): void;
  /**
   * Appends a record: printable ASCII, no line break, 1000 characters at most. When it returns true the record outlives this
   * process, however that ends.
   */
  append(record: string): boolean;
  /** Replaces all records by these, at once or not at all. */
  rewrite(records: string[]): boolean;
  /**
   * Seconds since 1970, whole ones. Absent: the host does not know the time, and a lease of old counts from the restart, which is
   * longer than it was promised.
   */
  time?(): number;
}
