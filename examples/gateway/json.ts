/** JSON (RFC 8259) with comments, read so that every value knows its line: errors can then say where. */

/** A value with the line that it begins on. */
export interface Node {
  readonly line: number;
  readonly value: string | number | boolean | null | Node[] | Map<string, Node>;
}

/** What is wrong with a configuration, and where. */
export class ConfigError extends Error {
  constructor(
    readonly line: number,
    readonly reason: string,
  ) {
    super(`line ${line}: ${reason}`);
  }
}

/** A number, a word, a string, or one character, behind blanks and comments. */
const TOKEN =
  /(?:[ \t\r\n]|\/\/[^\n]*|\/\*[^]*?\*\/)*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|[A-Za-z_]+|"(?:[^"\\\n]|\\.)*"|[^]|$)/y;
/** Nobody nests deeper, and the parser is recursive. */
const DEPTH = 32;

class Parser {
  private at = 0;
  private line = 1;
  private token = "";

  constructor(private readonly text: string) {
    this.next();
  }

  document(): Node {
    const node = this.value(0);
    if (this.token !== "") throw this.error(`${this.token} after the end`);
    return node;
  }

  private next(): void {
    TOKEN.lastIndex = this.at;
    const [whole, token] = TOKEN.exec(this.text)!;
    this.line += whole.slice(0, whole.length - token.length).split("\n").length - 1;
    this.at += whole.length;
    this.token = token;
  }

  private error(reason: string): ConfigError {
    return new ConfigError(this.line, reason);
  }

  private expect(token: string): void {
    if (this.token !== token) throw this.error(`${token} expected, not ${this.token || "the end"}`);
    this.next();
  }

  private value(depth: number): Node {
    const { line, token } = this;
    if (depth > DEPTH) throw this.error("nested too deeply");
    if (token === "{") return { line, value: this.members(depth) };
    if (token === "[") return { line, value: this.elements(depth) };
    if (!/^["\-\d]|^(true|false|null)$/.test(token)) {
      throw this.error(`a value expected, not ${token || "the end"}`);
    }
    let value: string | number | boolean | null;
    try {
      value = JSON.parse(token) as typeof value;
    } catch {
      throw this.error(`${token} is no value`);
    }
    this.next();
    return { line, value };
  }

  private members(depth: number): Map<string, Node> {
    const members = new Map<string, Node>();
    this.next();
    while (this.token !== "}") {
      if (!this.token.startsWith('"'))
        throw this.error(`a name in quotes expected, not ${this.token || "the end"}`);
      const name = JSON.parse(this.token) as string;
      if (members.has(name)) throw this.error(`"${name}" is there twice`);
      this.next();
      this.expect(":");
      members.set(name, this.value(depth + 1));
      if (this.token !== "}") this.expect(",");
    }
    this.next();
    return members;
  }

  private elements(depth: number): Node[] {
    const elements: Node[] = [];
    this.next();
    while (this.token !== "]") {
      elements.push(this.value(depth + 1));
      if (this.token !== "]") this.expect(",");
    }
    this.next();
    return elements;
  }
}

/** Parses a text; a comma may stand behind the last element. Throws `ConfigError`. */
export function parseJson(text: string): Node {
  return new Parser(text).document();
}
