/** Names over IPv6 alone. */
import { dnsSuite } from "../support/dns-suite.js";
import { KERNEL6, createHostOnly6 } from "../support/only6.js";

dnsSuite(createHostOnly6, KERNEL6, "2001:db8::1");
