"""The lane on gevent: a greenlet for each connection, which seems to block."""

import json
import sys

import lane

try:
    import gevent
    from gevent import socket
    from gevent.fileobject import FileObject
    from gevent.server import StreamServer
except ImportError as error:
    lane.refuse(lane.missing("gevent", error))


def prepare(order):
    _, params = lane.check(order, ["tcp-echo", "idle", "churn"])
    buffer_bytes = lane.buffer_bytes(params)

    def echo(client, _address):
        try:
            while True:
                data = client.recv(buffer_bytes)
                if not data:
                    return
                client.sendall(data)
        except OSError:
            pass

    sock = lane.listen(order.get("addr"), socket.socket)
    StreamServer(sock, echo).start()
    loop = gevent.get_hub().loop
    kind = type(loop)
    notes = {"loop": f"{kind.__module__}.{kind.__qualname__}"}
    info = lane.info(order, "gevent", gevent.__version__, loop.backend, **notes)
    return {"addr": lane.address(sock), "info": info}


def main():
    try:
        for line in FileObject(sys.stdin):
            order = json.loads(line)
            if order["order"] == "prepare":
                lane.say("ready", **prepare(order))
            elif order["order"] == "stop":
                lane.say("stopped")
                break
            else:
                raise lane.Refusal("failed", f"cannot do {order['order']} here")
    except lane.Refusal as refusal:
        lane.refuse(refusal)
    lane.end()


main()
