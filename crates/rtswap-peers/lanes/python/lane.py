"""What the lanes in Python share: the words of the lane protocol (LANES.md), the socket, the info."""

import json
import os
import platform
import socket
import sys


class Refusal(Exception):
    """Why the lane gives up: a status of the protocol, and a reason of one line."""


def say(answer, **fields):
    print(json.dumps({"answer": answer, **fields}), flush=True)


def end():
    # Without taking down thousands of connections one by one: the kernel is quicker.
    os._exit(0)


def refuse(refusal):
    """Says why there is nothing to go on with."""
    status, reason = refusal.args
    say("failed", status=status, reason=reason)
    end()


def parse(workload):
    """`tcp-echo/size=1024/conns=32`: its family, and its parameters as they are spelled."""
    family, *params = workload.split("/")
    return family, dict(param.split("=", 1) for param in params)


def check(order, families):
    """The order's workload, if it is one of `families`."""
    family, params = parse(order["workload"])
    if family not in families:
        raise Refusal("unsupported", f"no `{family}` here, only {', '.join(families)}")
    if order.get("delay_ns"):
        raise Refusal("unsupported", "a peer cannot be slowed down")
    if params.get("buffer") == "exact":
        raise Refusal("unsupported", "buffer=exact: a peer reads into a longer buffer")
    return family, params


def missing(module, error):
    peer = sys.argv[1]
    return Refusal("skipped", f"Python has no {module} ({error}); `rtswap peers install {peer}` gets it")


def buffer_bytes(params):
    """Room for a message and a little, as the lanes in Rust have it, for a program that holds it while it waits."""
    if params.get("buffer") == "none":
        raise Refusal("unsupported", "buffer=none: a connection holds its buffer while it waits")
    size = int(params.get("size", 64))
    return min(max(1 << size.bit_length(), 4 << 10), 64 << 10)


def listen(addr, make=socket.socket):
    """A listening socket with the options that all lanes have; accepted ones inherit them."""
    host, _, port = (addr or "127.0.0.1:0").rpartition(":")
    host = host.strip("[]")
    sock = make(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    except OSError:
        pass  # A container may allow another one only.
    try:
        sock.bind((host, int(port)))
    except OSError as error:
        raise Refusal("failed", f"cannot listen on {addr}: {error.strerror}")
    sock.listen(1024)
    sock.setblocking(False)
    return sock


def address(sock):
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def info(order, runtime, version, driver, **notes):
    """What this lane really is. One process with one thread, whatever the CPUs."""
    notes["python"] = f"{platform.python_implementation()} {platform.python_version()}"
    if len(order["cpus"]) > 1:
        notes["cpus"] = f"one of {len(order['cpus'])}: its loop has one thread"
    return {
        "runtime": runtime,
        "version": version,
        "driver": driver,
        "workers": 1,
        "shards": 1,
        "notes": notes,
    }
