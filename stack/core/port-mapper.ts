/** The seam between who translates ports (napt) and who lets hosts ask for them (PCP, UPnP). */

/** What `map` returns where there is no mapping: no outer address, another host has the port, no port or no room. */
export const NO_OUTER = -1;
export const NOT_THAT_PORT = -2;
export const NO_MAPPING = -3;

export interface PortMapper {
  /** The outer address, or 0: there is none now. */
  outer(): number;
  /**
   * Lets everyone reach an inner end by an outer port until as many `unmap`; one that has a port keeps it.
   *
   * @param wanted the outer port that it would like; 0: any
   * @param exact that one, or none
   * @returns what `mappedPort` and `unmap` take, or NO_OUTER, ...
   */
  map(protocol: number, address: number, port: number, wanted: number, exact: boolean): number;
  mappedPort(mapping: number): number;
  /** Ends a mapping; flows over it go on. Once for each `map`. */
  unmap(mapping: number): void;
}
