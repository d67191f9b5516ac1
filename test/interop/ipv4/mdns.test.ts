/** Multicast DNS and service discovery over IPv4, beside avahi (RFC 6762, RFC 6763). */
import test from "ava";
import { mdnsSuite } from "../support/mdns.js";

mdnsSuite(test, 4);
