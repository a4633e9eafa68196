"""An ASGI application, and uvicorn's own server with httptools for it."""

import asyncio
import json

import lane


def large():
    """The 64 KiB of LANES.md: SplitMix64 from a fixed seed."""
    state, mask, words = 0x727473776170, (1 << 64) - 1, []
    for _ in range(8192):
        state = (state + 0x9E3779B97F4A7C15) & mask
        word = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        words.append((word ^ (word >> 31)).to_bytes(8, "little"))
    return b"".join(words)


LARGE = large()


def answer(path):
    if path == "/plaintext":
        return 200, b"text/plain", b"Hello, World!"
    if path == "/json":
        return 200, b"application/json", json.dumps({"message": "Hello, World!"}, separators=(",", ":")).encode()
    if path == "/64KiB":
        return 200, b"application/octet-stream", LARGE
    return 404, b"text/plain", b""


async def app(scope, receive, send):
    status, content_type, body = answer(scope["path"])
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def prepare(order, info):
    _, params = lane.check(order, ["http"])
    if params.get("h2") == "true":
        raise lane.Refusal("unsupported", "uvicorn has no HTTP/2")
    try:
        import httptools
        import uvicorn
    except ImportError as error:
        raise lane.missing("uvicorn or httptools", error)
    sock = lane.listen(order.get("addr"))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            backlog=1024,
            # Connections are silent while other lanes work.
            timeout_keep_alive=3600,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:
        if serving.done():
            raise lane.Refusal("failed", "uvicorn ended before it served")
        await asyncio.sleep(0.001)
    notes = {"uvicorn": uvicorn.__version__, "httptools": httptools.__version__}
    return {"addr": lane.address(sock), "info": info(order, **notes)}
