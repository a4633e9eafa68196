"""A spawn lane that lies: it claims 10^12 operations (huge), none (zero), or answers an order twice (two)."""
import json, sys, time

lie = sys.argv[1]


def say(**answer):
    print(json.dumps(answer), flush=True)


for line in sys.stdin:
    order = json.loads(line)
    if order["order"] == "prepare":
        say(answer="ready", info={"runtime": "liar", "version": "1", "driver": "none", "workers": 1})
    elif order["order"] == "slice":
        begin = time.perf_counter_ns()
        while time.perf_counter_ns() < begin + order["ms"] * 1_000_000:
            pass
        elapsed = time.perf_counter_ns() - begin
        ops = {"huge": 10**12, "zero": 0, "two": 1000}[lie]
        say(answer="slice", ops=ops, elapsed_ns=elapsed)
        if lie == "two":
            say(answer="slice", ops=ops, elapsed_ns=elapsed)
    else:
        say(answer="stopped")
        break
