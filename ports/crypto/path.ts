/** From a peer's certificate to an anchor (RFC 5280 section 6.1), over what else the peer has sent, in whatever order. */
import type { Certificate, Revocation } from "../../hypercall/crypto.js";
import { same } from "./certificate.js";
import type { Parsed, ParsedList } from "./certificate.js";

/** Has `issuer`'s key signed `item`? Called once per step; its answer may come later. */
export type Signed<Item = Parsed> = (item: Item, issuer: Parsed, done: (good: boolean) => void) => void;

/** Certificates of a peer that are looked at, and signatures that are verified for it: who sends many of the same name pays with its own. */
const LONGEST_PATH = 8;
const MOST_SIGNATURES = 24;

/** `CryptoHypercalls.verifyChain` at the time `now` (milliseconds since 1970). */
export function verifyPath(
  chain: readonly Certificate[],
  anchors: readonly Certificate[],
  signed: Signed,
  signedList: Signed<ParsedList>,
  now: number,
  done: (good: boolean) => void,
  revocation: Revocation = { lists: [], strict: false },
): void {
  const leaf = chain[0] as Parsed | undefined;
  if (!leaf || !isValid(leaf, now) || !leaf.mayAuthenticate) return done(false);
  if (anchors.some((anchor) => same(anchor.der, leaf.der))) return done(true);
  let left = MOST_SIGNATURES;
  /** Is `from` in none of its issuer's lists? One that has run out still knows who was revoked. */
  const current = (from: Parsed, issuer: Parsed, answer: (good: boolean) => void): void => {
    const { strict } = revocation;
    const lists = (revocation.lists as readonly ParsedList[]).filter(
      (list) => issuer.mayRevoke && list.thisUpdate <= now && same(list.issuer, issuer.subject),
    );
    let covered = false;
    const look = (index: number): void => {
      const list = lists[index];
      if (!list) return answer(covered || !strict);
      if (left-- <= 0) return answer(false);
      signedList(list, issuer, (good) => {
        if (good && list.serials.has(from.serial)) return answer(false);
        covered ||= good && list.nextUpdate >= now;
        look(index + 1);
      });
    };
    look(0);
  };
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
      const go = (good: boolean): void => {
        if (!good) attempt(index + 1);
        else if (anchors.includes(issuer)) found(true);
        else {
          // Who has issued itself is not counted (section 6.1.4).
          const more = same(issuer.subject, issuer.issuer) ? below : below + 1;
          const rest = others.filter((other) => other !== issuer);
          climb(issuer, more, rest, (reached) => (reached ? found(true) : attempt(index + 1)));
        }
      };
      signed(from, issuer, (good) => (good ? current(from, issuer, go) : go(false)));
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
