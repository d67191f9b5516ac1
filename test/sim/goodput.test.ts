/** A part of the goodput grid (see goodput.ts): every cell byte-exact, and what must hold between cells. */
import test from "ava";
import { DELAYS, LOSSES, REORDERS, SIZES, cells, measure } from "./grid.js";
import { report } from "./goodput.js";
import { plot } from "./plot.js";

test("streams arrive byte for byte, whatever is lost, late or out of order", (t) => {
  for (const size of [1000, 100000]) {
    for (const loss of [0, 0.02, 0.1, 0.3]) {
      for (const delay of [1, 50]) {
        for (const reorder of [0, 0.1]) {
          const cell = measure({ size, loss, delay, reorder }, 1);
          t.true(cell.exact, JSON.stringify(cell));
        }
      }
    }
  }
});

test("over IPv6 too", (t) => {
  for (const loss of [0, 0.02, 0.1, 0.3]) {
    for (const delay of [1, 50]) {
      for (const reorder of [0, 0.1]) {
        const cell = measure({ size: 100000, loss, delay, reorder }, 1, 6);
        t.true(cell.exact, JSON.stringify(cell));
      }
    }
  }
});

test("half of everything lost, and still every byte", (t) => {
  t.true(measure({ size: 10000, loss: 0.5, delay: 10, reorder: 0.1 }, 3).exact);
});

test("a clean wire is used well, and loss costs", (t) => {
  const clean = measure({ size: 1000000, loss: 0, delay: 1, reorder: 0 }, 1);
  const lossy = measure({ size: 1000000, loss: 0.05, delay: 1, reorder: 0 }, 1);
  t.true(clean.goodput > 80e6, "clean: " + clean.goodput);
  t.true(lossy.goodput > 1e6 && lossy.goodput < clean.goodput, "lossy: " + lossy.goodput);
});

test("the whole grid has its table cells and its plot points", (t) => {
  const list = cells().map((cell) => ({ ...cell, goodput: 1234567, exact: cell.loss < 0.5 }));
  t.is(list.length, SIZES.length * LOSSES.length * DELAYS.length * REORDERS.length);
  t.true(list.length >= 300);
  t.is(report(list).match(/1\.23 M/g)?.length, list.filter(({ exact }) => exact).length);
  t.is(report(list).match(/\*\*wrong\*\*/g)?.length, list.filter(({ exact }) => !exact).length);
  const svg = plot(list);
  t.is(svg.match(/<path d="M[^"]*L/g)?.length, SIZES.length * DELAYS.length * REORDERS.length);
  t.false(svg.includes("NaN"));
});
