"""A lane that names the address of another server (ADDR), or echoes itself and floods its standard error (flood)."""
import json, os, socket, sys, threading


def say(**answer):
    print(json.dumps(answer), flush=True)


def echo(stream):
    while data := stream.recv(65536):
        stream.sendall(data)


def flood():
    try:
        while True:
            os.write(2, b"x" * 65535 + b"\n")
    except OSError:
        os._exit(1)


json.loads(sys.stdin.readline())
addr = sys.argv[1]
if addr == "flood":
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    host, port = listener.getsockname()
    addr = f"{host}:{port}"
    # For as long as the process lives, from before it is ready.
    threading.Thread(target=flood, daemon=True).start()

    def serve():
        while True:
            stream, _ = listener.accept()
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=echo, args=[stream], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
say(answer="ready", addr=addr, info={"runtime": "liar", "version": "1", "driver": "none", "workers": 1})
sys.stdin.readline()
say(answer="stopped")
os._exit(0)
