"""An echo client that has nothing to do with rtswap: echo_client.py HOST PORT."""

import asyncio
import random
import sys

SIZES = [1, 2, 1000, 4096, 65536, 65537, 1 << 20]


async def exchange(host, port, seed):
    reader, writer = await asyncio.open_connection(host, port)
    for size in SIZES:
        message = random.Random(seed * 100 + size).randbytes(size)
        # Beside each other: a server that echoes as it reads fills both directions.
        writer.write(message)
        answer, _ = await asyncio.gather(reader.readexactly(size), writer.drain())
        assert answer == message, f"connection {seed}: {size} bytes came back changed"
    writer.write_eof()
    assert await reader.read() == b"", "more came back than was sent"
    writer.close()
    return len(SIZES)


async def main(host, port):
    done = await asyncio.gather(*(exchange(host, port, seed) for seed in range(8)))
    print(sum(done), "messages came back")


asyncio.run(asyncio.wait_for(main(sys.argv[1], int(sys.argv[2])), 60))
