/** SA payloads (RFC 7296 section 3.3): proposals and their transforms, read, written, and agreed upon. */
import { get16 } from "../core/bytes.js";
import * as wire from "../wire/ike.js";
import { idOf, keyLengthOf, transform, typeOf } from "./algorithms.js";
import type { Writer } from "./message.js";

/** Proposals that are looked at, and transforms in each: the rest is not (section 2.7 leaves that to us). */
const PROPOSALS = 16;
const TRANSFORMS = 64;

const KEY_LENGTH = 0x800e;

export interface Proposal {
  readonly number: number;
  readonly protocol: number;
  readonly spi: Uint8Array;
  /** Known transforms, in the peer's order of preference. */
  readonly transforms: number[];
  /** Types of transforms that the proposal has, unknown ones among them: bit 1 << type. */
  readonly types: number;
}

/** Reads the body of an SA payload; null: its lengths lie. Proposals for protocols or with SPIs that cannot be are left out. */
export function parseProposals(data: Uint8Array): Proposal[] | null {
  const list: Proposal[] = [];
  let at = 0;
  let last = data.length > 0 ? 2 : 0;
  while (last !== 0) {
    if (data.length - at < 8) return null;
    last = data[at];
    const length = get16(data, at + 2);
    const spiLength = data[at + 6];
    if (length < 8 + spiLength || length > data.length - at || (last !== 0 && last !== 2)) return null;
    const end = at + length;
    const transforms: number[] = [];
    const types = parseTransforms(data, at + 8 + spiLength, end, data[at + 7], transforms);
    if (types < 0) return null;
    const protocol = data[at + 5];
    const fits = protocol === wire.PROTOCOL_IKE ? spiLength === 0 || spiLength === 8 : spiLength === 4;
    if (fits && list.length < PROPOSALS) {
      const spi = new Uint8Array(spiLength);
      spi.set(data.subarray(at + 8, at + 8 + spiLength), 0);
      list.push({ number: data[at + 4], protocol, spi, transforms, types });
    }
    at = end;
  }
  return at === data.length && list.length >= 0 ? list : null;
}

/** Reads the transforms in `data[at..end)`; the set of their types, or -1: their lengths lie. */
function parseTransforms(data: Uint8Array, at: number, end: number, count: number, into: number[]): number {
  let types = 0;
  for (; count > 0; count--) {
    if (end - at < 8) return -1;
    const length = get16(data, at + 2);
    if (length < 8 || length > end - at || data[at] !== (count === 1 ? 0 : 3)) return -1;
    const type = data[at + 4];
    const stop = at + length;
    let keyLength = 0;
    let known = type >= 1 && type <= 12;
    for (let each = at + 8; each < stop;) {
      if (stop - each < 4) return -1;
      const attribute = get16(data, each);
      if (attribute === KEY_LENGTH) keyLength = get16(data, each + 2);
      else known = false;
      const size = attribute & 0x8000 ? 4 : 4 + get16(data, each + 2);
      if (size > stop - each) return -1;
      each += size;
    }
    if (keyLength > 1023) known = false;
    // An unknown type is one more than all: a proposal with it cannot be taken.
    types |= 1 << (type >= 1 && type <= 12 ? type : 13);
    if (known && into.length < TRANSFORMS) into.push(transform(type, keyLength, get16(data, at + 6)));
    at = stop;
  }
  return at === end ? types : -1;
}

/** Writes an SA payload's body: a proposal for each suite, with `spi`. */
export function emitProposals(
  out: Writer,
  protocol: number,
  spi: Uint8Array,
  suites: number[][],
  firstNumber = 1,
): void {
  out.begin(wire.PAYLOAD_SA);
  for (let i = 0; i < suites.length; i++) {
    const suite = suites[i];
    let length = 8 + spi.length;
    for (let j = 0; j < suite.length; j++) length += keyLengthOf(suite[j]) ? 12 : 8;
    out
      .put8(i + 1 < suites.length ? 2 : 0)
      .put8(0)
      .put16(length);
    out
      .put8(firstNumber + i)
      .put8(protocol)
      .put8(spi.length)
      .put8(suite.length)
      .bytes(spi);
    for (let j = 0; j < suite.length; j++) {
      const bits = keyLengthOf(suite[j]);
      out
        .put8(j + 1 < suite.length ? 3 : 0)
        .put8(0)
        .put16(bits ? 12 : 8);
      out.put8(typeOf(suite[j])).put8(0).put16(idOf(suite[j]));
      if (bits) out.put16(KEY_LENGTH).put16(bits);
    }
  }
}

/** What two have agreed on. */
export interface Agreement {
  /** Number and SPI of the peer's proposal. */
  readonly number: number;
  readonly spi: Uint8Array;
  /** One transform of each type. */
  readonly suite: number[];
}

/**
 * Takes the first of our suites that fits one of the peer's proposals, and of each type our most preferred that both have.
 *
 * @param prefer a transform that is taken before all others of its type: the group of the KE payload that is there already; or 0
 */
export function choose(
  proposals: Proposal[],
  protocol: number,
  spiLength: number,
  suites: number[][],
  prefer: number,
): Agreement | null {
  for (let j = 0; j < suites.length; j++) {
    for (let i = 0; i < proposals.length; i++) {
      const proposal = proposals[i];
      if (proposal.protocol !== protocol || proposal.spi.length !== spiLength || isZero(proposal.spi))
        continue;
      const suite = match(proposal, suites[j], prefer);
      if (suite) return { number: proposal.number, spi: proposal.spi, suite };
    }
  }
  return null;
}

function match(proposal: Proposal, ours: number[], prefer: number): number[] | null {
  const suite: number[] = [];
  let types = proposal.types;
  for (let i = 0; i < ours.length; i++) types |= 1 << typeOf(ours[i]);
  for (let type = 1; type <= 13; type++) {
    if ((types & (1 << type)) === 0) continue;
    let found = -1;
    let mine = 0;
    for (let i = 0; i < ours.length; i++) {
      if (typeOf(ours[i]) !== type) continue;
      mine++;
      if (proposal.transforms.indexOf(ours[i]) < 0) continue;
      if (found < 0 || ours[i] === prefer) found = ours[i];
    }
    if (found >= 0) suite.push(found);
    else if (mine > 0 && !none(ours, type, proposal)) return null;
    // What we have nothing of, the peer must be able to do without: NONE is 0.
    else if (mine === 0 && proposal.transforms.indexOf(transform(type, 0, 0)) < 0) return null;
  }
  return suite;
}

/** We offer NONE of `type`, and the proposal has nothing of it. */
function none(ours: number[], type: number, proposal: Proposal): boolean {
  return (proposal.types & (1 << type)) === 0 && ours.indexOf(transform(type, 0, 0)) >= 0;
}

function isZero(spi: Uint8Array): boolean {
  for (let i = 0; i < spi.length; i++) if (spi[i] !== 0) return false;
  return spi.length > 0;
}

/** Does the peer's answer, one proposal with one transform of each type, lie in what was offered? */
export function accepted(
  answer: Proposal[],
  protocol: number,
  spiLength: number,
  suites: number[][],
): Agreement | null {
  if (answer.length !== 1) return null;
  const proposal = answer[0];
  let seen = 0;
  for (let i = 0; i < proposal.transforms.length; i++) {
    const bit = 1 << typeOf(proposal.transforms[i]);
    if (seen & bit) return null;
    seen |= bit;
  }
  return seen === proposal.types ? choose(answer, protocol, spiLength, suites, 0) : null;
}
