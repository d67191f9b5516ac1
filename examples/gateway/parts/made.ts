/** What is made of a list in the configuration: a reload ends what is not in it any more, makes what is new, and leaves the rest alone. */
export class Made<C> {
  private readonly ends = new Map<string, () => void>();

  /** @param make makes one of them; returns what ends it */
  constructor(private readonly make: (config: C) => () => void) {}

  apply(list: readonly C[]): void {
    const wanted = new Map(list.map((one) => [JSON.stringify(one), one]));
    for (const [key, end] of this.ends) {
      if (wanted.has(key)) continue;
      this.ends.delete(key);
      end();
    }
    for (const [key, one] of wanted) if (!this.ends.has(key)) this.ends.set(key, this.make(one));
  }
}
