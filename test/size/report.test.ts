import test from "ava";
import type { Ledger } from "./ledger.js";
import { excesses, insert, markdown, needsEngines } from "./report.js";

const ledger: Ledger = {
  combinations: {
    udp4: {
      es5: 9001,
      es5Closed: 7000,
      esm: 8000,
      esmGzip: 3000,
      bytecode: 9500,
      heapDuktape: 50000,
      heapXs: 40000,
      heapQuickjs: 30000,
    },
  },
  components: { arp: { es5: 1500, esm: 1400, esmGzip: 600 } },
};

test("a budget that is exceeded is named, one that is kept is not", (t) => {
  t.deepEqual(
    excesses(ledger, { combinations: { udp4: { es5: 9001 } }, components: { arp: { esmGzip: 600 } } }),
    [],
  );
  t.deepEqual(
    excesses(ledger, {
      combinations: { udp4: { es5: 9000, esm: 8000 } },
      components: { arp: { esmGzip: 590 } },
    }),
    [
      "udp4: 9001 bytes of es5, 1 over the budget of 9000",
      "arp: 600 bytes of esmGzip, 10 over the budget of 590",
    ],
  );
});

test("a budget for something that is gone is an error", (t) => {
  t.deepEqual(excesses(ledger, { combinations: {}, components: { tcp: {} } }), [
    "tcp: has a budget, but is not in the ledger",
  ]);
});

test("the table has a row for each", (t) => {
  const lines = markdown(ledger, { combinations: { udp4: { es5: 9000 } }, components: {} }).split("\n");
  const cells = (line?: string) =>
    line
      ?.split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
  t.deepEqual(cells(lines[2]), [
    "`udp4`",
    "9,001",
    "7,000",
    "8,000",
    "3,000",
    "9,500",
    "50,000",
    "40,000",
    "30,000",
    "9,000",
  ]);
  t.deepEqual(cells(lines[6]), ["`arp`", "1,500", "1,400", "600", "", "", "", "", ""]);
  t.is(new Set(lines.slice(0, 3).map((line) => line.length)).size, 1);
});

test("the table goes between the markers, again and again", (t) => {
  const text = "before\n<!-- size:begin -->\nold\n<!-- size:end -->\nafter\n";
  const once = insert(text, "| table |");
  t.is(once, "before\n<!-- size:begin -->\n\n| table |\n\n<!-- size:end -->\nafter\n");
  t.is(insert(once, "| table |"), once);
  t.is(insert("no markers", "| table |"), "no markers");
});

test("budgets of what only an engine can tell", (t) => {
  t.false(needsEngines({ combinations: { udp4: { es5: 1, esmGzip: 1 } }, components: { arp: {} } }));
  t.true(needsEngines({ combinations: {}, components: { arp: { heapXs: 1 } } }));
  t.deepEqual(
    excesses(ledger, { combinations: { udp4: { heapXs: 39000, bytecode: 9500 } }, components: {} }),
    ["udp4: 40000 bytes of heapXs, 1000 over the budget of 39000"],
  );
});
