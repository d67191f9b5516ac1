/** What bridges say to each other: configuration, topology change and RST messages (IEEE 802.1D-2004 section 9.3), read and written. */
import { get16, put16, put32 } from "../core/bytes.js";
import { ETHERNET_HEADER } from "../wire/ethernet.js";

/** Root, cost, bridge and port, as they stand in a message: the smaller, as bytes, is the better one. */
export const VECTOR_LENGTH = 22;
export const VECTOR_COST = 8;
export const VECTOR_BRIDGE = 12;
export const VECTOR_PORT = 20;

/** Flags of a message. A configuration message has the first and the last alone. */
export const TOPOLOGY_CHANGE = 0x01;
export const PROPOSAL = 0x02;
export const ROLE_SHIFT = 2;
export const LEARNS = 0x10;
export const FORWARDS = 0x20;
export const AGREEMENT = 0x40;
export const ACKNOWLEDGED = 0x80;

/** Roles as messages have them. */
export const SAYS_ALTERNATE = 1;
export const SAYS_ROOT = 2;
export const SAYS_DESIGNATED = 3;

/** Kinds of messages, by their type field. */
export const CONFIGURATION = 0;
export const RAPID = 2;
export const CHANGE = 0x80;
/** No message of this protocol. */
export const MALFORMED = -1;

const LLC = 3;
const MESSAGE = ETHERNET_HEADER + LLC;
const VERSION = MESSAGE + 2;
const TYPE = MESSAGE + 3;
const FLAGS = MESSAGE + 4;
const VECTOR = MESSAGE + 5;
const AGE = MESSAGE + 27;
const CONFIGURATION_LENGTH = 35;
const RAPID_LENGTH = 36;
const CHANGE_LENGTH = 4;
/** The smallest frame of Ethernet, without its checksum. */
export const FRAME_LENGTH = 60;

/** Times are in 1/256 s, as in messages. */
export const SECOND = 256;

/** A message and its times, or what a port remembers of one. */
export class Priority {
  readonly vector = new Uint8Array(VECTOR_LENGTH);
  age = 0;
  maxAge = 20 * SECOND;
  hello = 2 * SECOND;
  forwardDelay = 15 * SECOND;

  copy(from: Priority): void {
    this.vector.set(from.vector);
    this.copyTimes(from);
  }

  copyTimes(from: Priority): void {
    this.age = from.age;
    this.maxAge = from.maxAge;
    this.hello = from.hello;
    this.forwardDelay = from.forwardDelay;
  }

  sameTimes(other: Priority): boolean {
    return (
      this.age === other.age &&
      this.maxAge === other.maxAge &&
      this.hello === other.hello &&
      this.forwardDelay === other.forwardDelay
    );
  }
}

/** Reads a frame to the bridges' group into `priority`; answers the kind of message, or MALFORMED. Its flags: `flagsOf`. */
export function parse(frame: Uint8Array, start: number, end: number, priority: Priority): number {
  const length = get16(frame, start + 12);
  if (
    length < LLC + CHANGE_LENGTH ||
    start + ETHERNET_HEADER + length > end ||
    get16(frame, start + ETHERNET_HEADER) !== 0x4242 ||
    get16(frame, start + MESSAGE) !== 0
  ) {
    return MALFORMED;
  }
  const type = frame[start + TYPE];
  if (type === CHANGE) return CHANGE;
  const rapid = type === RAPID && frame[start + VERSION] >= 2;
  if (length < LLC + (rapid ? RAPID_LENGTH : CONFIGURATION_LENGTH) || (!rapid && type !== CONFIGURATION)) {
    return MALFORMED;
  }
  priority.age = get16(frame, start + AGE);
  priority.maxAge = within(get16(frame, start + AGE + 2), 6, 40);
  priority.hello = within(get16(frame, start + AGE + 4), 1, 10);
  priority.forwardDelay = within(get16(frame, start + AGE + 6), 4, 30);
  if (!rapid && priority.age >= priority.maxAge) return MALFORMED;
  for (let i = 0; i < VECTOR_LENGTH; i++) priority.vector[i] = frame[start + VECTOR + i];
  return type;
}

/** The flags of a message that `parse` has taken; a configuration message comes from who is designated. */
export function flagsOf(frame: Uint8Array, start: number, type: number): number {
  if (type === RAPID) return frame[start + FLAGS];
  return (frame[start + FLAGS] & (TOPOLOGY_CHANGE | ACKNOWLEDGED)) | (SAYS_DESIGNATED << ROLE_SHIFT);
}

/** Writes a message into a frame of FRAME_LENGTH bytes. */
export function emit(frame: Uint8Array, mac: Uint8Array, type: number, flags: number, says: Priority): void {
  for (let i = 0; i < FRAME_LENGTH; i++) frame[i] = 0;
  put16(frame, 0, 0x0180);
  put32(frame, 2, 0xc2000000 | 0);
  for (let i = 0; i < 6; i++) frame[6 + i] = mac[i];
  const rapid = type === RAPID;
  put16(frame, 12, LLC + (rapid ? RAPID_LENGTH : type === CHANGE ? CHANGE_LENGTH : CONFIGURATION_LENGTH));
  put16(frame, ETHERNET_HEADER, 0x4242);
  frame[ETHERNET_HEADER + 2] = 3;
  frame[VERSION] = rapid ? 2 : 0;
  frame[TYPE] = type;
  if (type === CHANGE) return;
  frame[FLAGS] = flags;
  for (let i = 0; i < VECTOR_LENGTH; i++) frame[VECTOR + i] = says.vector[i];
  put16(frame, AGE, says.age);
  put16(frame, AGE + 2, says.maxAge);
  put16(frame, AGE + 4, says.hello);
  put16(frame, AGE + 6, says.forwardDelay);
}

/** Times beyond what the standard allows are taken as the nearest that it does. */
function within(time: number, least: number, most: number): number {
  return time < least * SECOND ? least * SECOND : time > most * SECOND ? most * SECOND : time;
}

/** Which of two ranges of bytes is the better one: below 0, the first. */
export function compare(a: Uint8Array, b: Uint8Array, start: number, length: number): number {
  for (let i = start; i < start + length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
