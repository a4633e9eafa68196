// Whether sleeps end in the order of their length: in each batch, and over all batches of a lane.

export const LENGTHS = 5;
// A machine that has stalled makes all sleeps due at once, and a loop wakes those in batches.
const SLACK_NS = 1e6;
// With fewer batches, stalls alone may put the same two lengths out of order in most of them.
const BATCHES_MIN = 8;

export class SleepOrder {
  #ms;
  #batches = 0;
  // In how many batches the first sleep of one length ended after that of a longer one.
  #late = Array.from({ length: LENGTHS }, () => Array(LENGTHS).fill(0));

  constructor(ms) {
    this.#ms = ms;
  }

  // One more batch: when the first sleep of each length ended, in nanoseconds, the shortest length first. Returns
  // what is wrong.
  check(firsts) {
    this.#batches += 1;
    let [apart, wrong] = [0, 0];
    for (let shorter = 0; shorter < firsts.length; shorter++) {
      for (let longer = shorter + 1; longer < firsts.length; longer++) {
        const late = Number(firsts[shorter] > firsts[longer] + SLACK_NS);
        this.#late[shorter][longer] += late;
        if (longer > shorter + 1) [apart, wrong] = [apart + 1, wrong + late];
      }
    }
    // One length may be late in one batch, where the machine has stalled: half of the pairs 2 ms or more apart.
    if (wrong * 2 > apart) return `${wrong} of ${apart} shorter sleeps ended later: ${firsts} ns`;
    // A stall delays another length each time. The same pair in most batches is the lane's doing.
    if (this.#batches < BATCHES_MIN) return undefined;
    for (const [shorter, counts] of this.#late.entries()) {
      const longer = counts.findIndex((count) => count * 4 > this.#batches * 3);
      if (longer >= 0) {
        const [short, long] = [this.#ms + shorter, this.#ms + longer];
        return `sleeps of ${short} ms ended after those of ${long} ms in ${counts[longer]} of ${this.#batches} batches`;
      }
    }
    return undefined;
  }
}
