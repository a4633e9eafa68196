"""The lanes on asyncio's interface. What is swapped is the loop, by one line: see the end.

Started as `on_asyncio.py PEER LOOP PROGRAM`: LOOP is asyncio or uvloop, PROGRAM protocol, streams or uvicorn.
"""

import asyncio
import json
import platform
import sys
import time

import lane
from sleep_order import LENGTHS, SleepOrder

PEER, LOOP, PROGRAM = sys.argv[1:]


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    # A client that does not read is not read.
    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


def echo_stream(buffer_bytes):
    async def echo(reader, writer):
        try:
            while True:
                data = await reader.read(buffer_bytes)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return echo


async def one_sleep(begin_ns, ms):
    start_ns = time.monotonic_ns()
    await asyncio.sleep(ms / 1000)
    end_ns = time.monotonic_ns()
    return end_ns - start_ns, end_ns - begin_ns


def sleeps(count, ms, early_ns):
    """A batch: that many sleeps at once, none of which may end early, or much out of order."""
    asked = [ms + number % LENGTHS for number in range(count)]
    order = SleepOrder(ms)

    async def batch():
        begin_ns = time.monotonic_ns()
        tasks = [asyncio.create_task(one_sleep(begin_ns, ms)) for ms in asked]
        ends = await asyncio.gather(*tasks)
        for ms, (slept_ns, _) in zip(asked, ends):
            if slept_ns + early_ns < ms * 1_000_000:
                raise lane.Refusal("invalid", f"a sleep of {ms} ms ended after {slept_ns} ns")
        firsts = [min(at for _, at in ends[length::LENGTHS]) for length in range(min(count, LENGTHS))]
        order.check(firsts)
        return count

    return batch


def info(order, **notes):
    loop = asyncio.get_running_loop()
    kind = type(loop)
    notes["loop"] = f"{kind.__module__}.{kind.__qualname__}"
    if LOOP == "uvloop":
        import uvloop

        return lane.info(order, "uvloop", uvloop.__version__, "epoll", **notes)
    # The selector that the loop has really chosen.
    driver = type(loop._selector).__name__.replace("Selector", "").lower()
    return lane.info(order, "asyncio", platform.python_version(), driver, **notes)


async def prepare(order):
    """What `ready` says, and what does a batch if the lane drives itself."""
    if PROGRAM == "uvicorn":
        import asgi

        return await asgi.prepare(order, info), None
    families = ["tcp-echo", "idle", "churn"] + ["sleep"] * (PROGRAM == "protocol")
    family, params = lane.check(order, families)
    if family == "sleep":
        # uvloop's timers count whole milliseconds, so that a finer clock sees them end early by as much.
        early_ns, notes = (1_000_000, {"early": "by less than 1 ms"}) if LOOP == "uvloop" else (1_000, {})
        batch = sleeps(int(params["tasks"]), int(params["ms"]), early_ns)
        return {"info": info(order, **notes)}, batch
    sock = lane.listen(order.get("addr"))
    if PROGRAM == "streams":
        await asyncio.start_server(echo_stream(lane.buffer_bytes(params)), sock=sock, backlog=1024)
    else:
        await asyncio.get_running_loop().create_server(Echo, sock=sock, backlog=1024)
    return {"addr": lane.address(sock), "info": info(order, api=PROGRAM)}, None


async def run_slice(batch, ms):
    begin_ns, ops = time.monotonic_ns(), 0
    while time.monotonic_ns() - begin_ns < ms * 1_000_000:
        ops += await batch()
    return {"ops": ops, "elapsed_ns": time.monotonic_ns() - begin_ns}


async def main():
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    batch = None
    try:
        while True:
            line = await reader.readline()
            if not line:
                break
            order = json.loads(line)
            if order["order"] == "prepare":
                ready, batch = await prepare(order)
                lane.say("ready", **ready)
            elif order["order"] == "slice" and batch:
                lane.say("slice", **await run_slice(batch, order["ms"]))
            elif order["order"] == "stop":
                lane.say("stopped")
                break
            else:
                raise lane.Refusal("failed", f"cannot do {order['order']} here")
    except lane.Refusal as refusal:
        lane.refuse(refusal)
    lane.end()


if LOOP == "uvloop":
    try:
        import uvloop as asyncio_or_uvloop
    except ImportError as error:
        lane.refuse(lane.missing("uvloop", error))
else:
    asyncio_or_uvloop = asyncio
asyncio_or_uvloop.run(main())
