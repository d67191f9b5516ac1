/** Names over IPv4. */
import { dnsSuite } from "../support/dns-suite.js";
import { createHost, KERNEL } from "../support/host.js";

dnsSuite(createHost, KERNEL, "192.0.2.1");
