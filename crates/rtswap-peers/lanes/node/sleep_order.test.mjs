import assert from "node:assert/strict";
import { test } from "node:test";
import { SleepOrder } from "./sleep_order.mjs";

function oneLate(length, ms) {
  const ends = [10, 11, 12, 13, 14];
  ends[length] += ms;
  return ends.map((end) => end * 1e6);
}

test("one length that is late in every batch is wrong", () => {
  for (const length of [0, 1, 2, 3]) {
    const order = new SleepOrder(10);
    for (let batch = 1; batch < 8; batch++) assert.equal(order.check(oneLate(length, 6)), undefined);
    const reason = `sleeps of ${10 + length} ms ended after those of ${11 + length} ms in 8 of 8 batches`;
    assert.equal(order.check(oneLate(length, 6)), reason);
  }
});

test("one length that is late in one batch is accepted", () => {
  for (let stalled = 0; stalled < 8; stalled++) {
    const order = new SleepOrder(10);
    for (let batch = 0; batch < 40; batch++)
      assert.equal(order.check(oneLate(0, batch === stalled ? 50 : 0)), undefined);
  }
});

test("one length that is late in three of four batches is accepted", () => {
  const order = new SleepOrder(10);
  for (let batch = 0; batch < 100; batch++) assert.equal(order.check(oneLate(1, batch % 4 ? 6 : 0)), undefined);
});

test("most pairs out of order in one batch are wrong", () => {
  const reason = new SleepOrder(10).check([18e6, 17e6, 12e6, 12e6, 14e6]);
  assert.match(reason, /^5 of 6 shorter sleeps ended later/);
});

test("few sleeps have no order", () => {
  const order = new SleepOrder(10);
  for (let batch = 0; batch < 40; batch++) assert.equal(order.check([10e6]), undefined);
});
