package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func ends(ms ...int) []time.Duration {
	var ends []time.Duration
	for _, ms := range ms {
		ends = append(ends, time.Duration(ms)*time.Millisecond)
	}
	return ends
}

func oneLate(length, ms int) []time.Duration {
	ends := ends(10, 11, 12, 13, 14)
	ends[length] += time.Duration(ms) * time.Millisecond
	return ends
}

func accept(t *testing.T, order *sleepOrder, firsts []time.Duration) {
	t.Helper()
	if err := order.check(firsts); err != nil {
		t.Fatal(err)
	}
}

func TestOneLengthLateInEveryBatch(t *testing.T) {
	for length := 0; length < lengths-1; length++ {
		order := sleepOrder{ms: 10}
		for batch := 1; batch < batchesMin; batch++ {
			accept(t, &order, oneLate(length, 6))
		}
		reason := fmt.Sprintf("sleeps of %d ms ended after those of %d ms in 8 of 8 batches", 10+length, 11+length)
		if err := order.check(oneLate(length, 6)); err == nil || err.Error() != reason {
			t.Fatal(err)
		}
	}
}

func TestOneLengthLateInOneBatch(t *testing.T) {
	for stalled := 0; stalled < batchesMin; stalled++ {
		order := sleepOrder{ms: 10}
		for batch := 0; batch < 5*batchesMin; batch++ {
			late := 0
			if batch == stalled {
				late = 50
			}
			accept(t, &order, oneLate(0, late))
		}
	}
}

func TestOneLengthLateInThreeOfFourBatches(t *testing.T) {
	order := sleepOrder{ms: 10}
	for batch := 0; batch < 100; batch++ {
		late := 6
		if batch%4 == 0 {
			late = 0
		}
		accept(t, &order, oneLate(1, late))
	}
}

func TestMostPairsOutOfOrderInOneBatch(t *testing.T) {
	order := sleepOrder{ms: 10}
	err := order.check(ends(18, 17, 12, 12, 14))
	if err == nil || !strings.HasPrefix(err.Error(), "5 of 6 shorter sleeps ended later") {
		t.Fatal(err)
	}
}

func TestFewSleepsHaveNoOrder(t *testing.T) {
	order := sleepOrder{ms: 10}
	for batch := 0; batch < 5*batchesMin; batch++ {
		accept(t, &order, ends(10))
	}
}
