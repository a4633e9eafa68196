package main

import (
	"fmt"
	"time"
)

const (
	// How many lengths the sleeps of a batch have. Each is 1 ms longer than the one before.
	lengths = 5
	// A machine that has stalled makes all sleeps due at once, and a runtime wakes those in batches.
	slack = time.Millisecond
	// With fewer batches, stalls alone may put the same two lengths out of order in most of them.
	batchesMin = 8
)

// Whether sleeps end in the order of their length: in each batch, and over all batches of a lane.
type sleepOrder struct {
	// The shortest length, in milliseconds.
	ms, batches int
	// In how many batches the first sleep of one length ended after that of a longer one.
	late [lengths][lengths]int
}

// One more batch: when the first sleep of each length ended, the shortest length first.
func (o *sleepOrder) check(firsts []time.Duration) error {
	o.batches++
	apart, wrong := 0, 0
	for shorter := range firsts {
		for longer := shorter + 1; longer < len(firsts); longer++ {
			late := firsts[shorter] > firsts[longer]+slack
			if late {
				o.late[shorter][longer]++
			}
			if longer > shorter+1 {
				apart++
				if late {
					wrong++
				}
			}
		}
	}
	// One length may be late in one batch, where a thread has stalled: half of the pairs 2 ms or more apart.
	if wrong*2 > apart {
		return fmt.Errorf("%d of %d shorter sleeps ended later: %v", wrong, apart, firsts)
	}
	// A stall delays another length each time. The same pair in most batches is the lane's doing.
	for shorter := range o.late {
		for longer, late := range o.late[shorter] {
			if o.batches >= batchesMin && late*4 > o.batches*3 {
				return fmt.Errorf("sleeps of %d ms ended after those of %d ms in %d of %d batches",
					o.ms+shorter, o.ms+longer, late, o.batches)
			}
		}
	}
	return nil
}
