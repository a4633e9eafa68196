"""Whether sleeps end in the order of their length: in each batch, and over all batches of a lane."""

import lane

LENGTHS = 5
# A machine that has stalled makes all sleeps due at once, and a loop wakes those in batches.
SLACK_NS = 1_000_000
# With fewer batches, stalls alone may put the same two lengths out of order in most of them.
BATCHES_MIN = 8


class SleepOrder:
    def __init__(self, ms):
        self.ms = ms
        self.batches = 0
        # In how many batches the first sleep of one length ended after that of a longer one.
        self.late = {}

    def check(self, firsts):
        """One more batch: when the first sleep of each length ended, in nanoseconds, the shortest length first."""
        self.batches += 1
        lengths = range(len(firsts))
        pairs = [(shorter, longer) for longer in lengths for shorter in range(longer)]
        late = [(shorter, longer) for shorter, longer in pairs if firsts[shorter] > firsts[longer] + SLACK_NS]
        # One length may be late in one batch, where the machine has stalled: half of the pairs 2 ms or more apart.
        apart, wrong = ([pair for pair in found if pair[1] - pair[0] > 1] for found in (pairs, late))
        if len(wrong) * 2 > len(apart):
            raise lane.Refusal("invalid", f"{len(wrong)} of {len(apart)} shorter sleeps ended later: {firsts} ns")
        # A stall delays another length each time. The same pair in most batches is the lane's doing.
        for pair in late:
            self.late[pair] = self.late.get(pair, 0) + 1
        for (shorter, longer), count in sorted(self.late.items()):
            if self.batches >= BATCHES_MIN and count * 4 > self.batches * 3:
                raise lane.Refusal(
                    "invalid",
                    f"sleeps of {self.ms + shorter} ms ended after those of {self.ms + longer} ms"
                    f" in {count} of {self.batches} batches",
                )
