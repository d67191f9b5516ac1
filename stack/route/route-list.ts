/** The routes of a large table, by the prefixes of its index: one each as a rule, best first where there are several. */
import type { Interface } from "../core/interface.js";
import { Trie } from "./trie.js";

interface AnyRoute {
  readonly metric: number;
  readonly nif: Interface;
}

export class RouteList<Route extends AnyRoute> {
  readonly trie: Trie;
  size = 0;
  /** The best route of each id, or null. */
  readonly heads: (Route | null)[] = [];
  /** The others, best first, or null. */
  private readonly others: (Route[] | null)[] = [];

  constructor(
    size: number,
    private readonly limit: number,
    private readonly same: (a: Route, b: Route) => boolean,
  ) {
    this.trie = new Trie(size, limit);
  }

  /** The first route of `id` whose interface is up and, where that is not null, `bound`. */
  first(id: number, bound: Interface | null): Route | null {
    const head = this.heads[id] as Route;
    if ((bound === null || head.nif === bound) && head.nif.up()) return head;
    const others = this.others[id];
    for (let i = 0; others && i < others.length; i++) {
      if ((bound === null || others[i].nif === bound) && others[i].nif.up()) return others[i];
    }
    return null;
  }

  /** As `first`; what `avoid` names is taken only where there is no other. */
  choose(id: number, bound: Interface | null, avoid: ((route: Route) => boolean) | null): Route | null {
    const head = this.first(id, bound);
    if (!head || !avoid || !avoid(head)) return head;
    const others = this.others[id];
    for (let i = 0; others && i < others.length; i++) {
      const route = others[i];
      if ((bound === null || route.nif === bound) && route.nif.up() && !avoid(route)) return route;
    }
    return head;
  }

  add(key: Uint8Array, length: number, route: Route): boolean {
    let id = this.trie.find(key, length);
    if (id >= 0) this.drop(id, (old) => this.same(old, route), true);
    else id = this.trie.insert(key, length);
    if (id < 0 || this.size >= this.limit) {
      if (id >= 0) this.tidy(id);
      return false;
    }
    while (this.heads.length <= id) {
      this.heads.push(null);
      this.others.push(null);
    }
    this.size++;
    const head = this.heads[id];
    if (!head) {
      this.heads[id] = route;
      return true;
    }
    const others = this.others[id] || (this.others[id] = []);
    if (route.metric < head.metric) {
      this.heads[id] = route;
      others.splice(0, 0, head);
      return true;
    }
    let at = 0;
    while (at < others.length && others[at].metric <= route.metric) at++;
    others.splice(at, 0, route);
    return true;
  }

  /** Removes the routes of one prefix for which `match` says so. */
  removeAt(key: Uint8Array, length: number, match: (route: Route) => boolean): number {
    const id = this.trie.find(key, length);
    return id < 0 ? 0 : this.drop(id, match, false);
  }

  remove(match: (route: Route) => boolean): number {
    let removed = 0;
    for (let id = 0; id < this.heads.length; id++) if (this.heads[id]) removed += this.drop(id, match, false);
    return removed;
  }

  list(): Route[] {
    const list: Route[] = [];
    for (let id = 0; id < this.heads.length; id++) {
      const head = this.heads[id];
      const others = this.others[id];
      if (head) list.push(head);
      for (let i = 0; others && i < others.length; i++) list.push(others[i]);
    }
    return list;
  }

  private drop(id: number, match: (route: Route) => boolean, keep: boolean): number {
    const others = this.others[id];
    let removed = 0;
    for (let i = others ? others.length - 1 : -1; i >= 0; i--) {
      if (match((others as Route[])[i])) {
        (others as Route[]).splice(i, 1);
        removed++;
      }
    }
    if (match(this.heads[id] as Route)) {
      this.heads[id] = others && others.length > 0 ? (others.splice(0, 1)[0] as Route) : null;
      removed++;
    }
    if (others && others.length === 0) this.others[id] = null;
    this.size -= removed;
    if (!keep) this.tidy(id);
    return removed;
  }

  /** A prefix without routes goes. */
  private tidy(id: number): void {
    if (id >= this.heads.length || this.heads[id] === null) this.trie.remove(id);
  }
}
