import unittest

import lane
import sleep_order

PUNCTUAL_MS = [10, 11, 12, 13, 14]


def one_late(length, ms):
    ends = list(PUNCTUAL_MS)
    ends[length] += ms
    return [end * 1_000_000 for end in ends]


class OneLength(unittest.TestCase):
    def test_late_in_every_batch_is_refused(self):
        for length in range(4):
            order = sleep_order.SleepOrder(10)
            for _ in range(7):
                order.check(one_late(length, 6))
            with self.assertRaises(lane.Refusal) as refused:
                order.check(one_late(length, 6))
            reason = f"sleeps of {10 + length} ms ended after those of {11 + length} ms in 8 of 8 batches"
            self.assertEqual(refused.exception.args, ("invalid", reason))

    def test_late_in_one_batch_is_accepted(self):
        for stalled in range(8):
            order = sleep_order.SleepOrder(10)
            for batch in range(40):
                order.check(one_late(0, 50 if batch == stalled else 0))

    def test_late_in_three_of_four_batches_is_accepted(self):
        order = sleep_order.SleepOrder(10)
        for batch in range(100):
            order.check(one_late(1, 6 if batch % 4 else 0))


class OneBatch(unittest.TestCase):
    def test_most_pairs_out_of_order_are_refused(self):
        with self.assertRaises(lane.Refusal) as refused:
            sleep_order.SleepOrder(10).check([18_000_000, 17_000_000, 12_000_000, 12_000_000, 14_000_000])
        self.assertIn("5 of 6 shorter sleeps ended later", refused.exception.args[1])

    def test_few_sleeps_have_no_order(self):
        order = sleep_order.SleepOrder(10)
        for _ in range(40):
            order.check([10_000_000])


if __name__ == "__main__":
    unittest.main()
