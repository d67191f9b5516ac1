/** From a peer's certificate to an anchor (RFC 5280 section 6.1), over what else the peer has sent, in whatever order. */
import type { Certificate } from "../../hypercall/crypto.js";
import { same } from "./certificate.js";
import type { Parsed } from "./certificate.js";

/** Has `issuer`'s key signed `certificate`? Called once per step; its answer may come later. */
export type Signed = (certificate: Parsed, issuer: Parsed, done: (good: boolean) => void) => void;

/** Certificates of a peer that are looked at, and signatures that are verified for it: who sends many of the same name pays with its own. */
const LONGEST_PATH = 8;
const MOST_SIGNATURES = 24;

/** `CryptoHypercalls.verifyChain` at the time `now` (milliseconds since 1970). */
export function verifyPath(
  chain: readonly Certificate[],
  anchors: readonly Certificate[],
  signed: Signed,
  now: number,
  done: (good: boolean) => void,
): void {
  const leaf = chain[0] as Parsed | undefined;
  if (!leaf || !isValid(leaf, now) || !leaf.mayAuthenticate) return done(false);
  if (anchors.some((anchor) => same(anchor.der, leaf.der))) return done(true);
  let left = MOST_SIGNATURES;
  // Each step goes to an issuer that has not been used: the search ends. One that leads nowhere is followed by the next.
  const climb = (
    from: Parsed,
    below: number,
    others: readonly Parsed[],
    found: (good: boolean) => void,
  ): void => {
    const issues = (candidate: Parsed): boolean =>
      same(candidate.subject, from.issuer) && maySign(candidate, below) && isValid(candidate, now);
    const candidates = [...(anchors as Parsed[]), ...others].filter(issues);
    const attempt = (index: number): void => {
      const issuer = candidates[index];
      if (!issuer || left-- <= 0) return found(false);
      signed(from, issuer, (good) => {
        if (!good) attempt(index + 1);
        else if (anchors.includes(issuer)) found(true);
        else {
          // Who has issued itself is not counted (section 6.1.4).
          const more = same(issuer.subject, issuer.issuer) ? below : below + 1;
          const rest = others.filter((other) => other !== issuer);
          climb(issuer, more, rest, (reached) => (reached ? found(true) : attempt(index + 1)));
        }
      });
    };
    attempt(0);
  };
  climb(leaf, 0, chain.slice(1, 1 + LONGEST_PATH) as Parsed[], done);
}

function isValid(certificate: Parsed, now: number): boolean {
  const { critical, scheme, notBefore, notAfter } = certificate;
  return !critical && scheme !== "" && now >= notBefore && now <= notAfter;
}

/** @param below authorities that stand between it and the leaf */
function maySign(certificate: Parsed, below: number): boolean {
  const { authority, pathLength } = certificate;
  return authority && certificate.maySign && (pathLength < 0 || below <= pathLength);
}
