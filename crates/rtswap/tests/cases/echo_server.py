"""echo_server.py HOST:PORT [FAULT]: an echo server without the lane protocol."""
import os, socket, subprocess, sys, threading

host, port = sys.argv[1].rsplit(":", 1)
fault = sys.argv[2] if len(sys.argv) > 2 else ""
if fault == "elsewhere":
    port = 0
if fault == "dies":
    print("a line before", file=sys.stderr)
    sys.exit("no configuration")
if fault == "background" and os.fork():
    os._exit(0)
if fault == "silent":
    threading.Event().wait()
listener = socket.socket()
if fault == "taken-once" and not os.path.exists("taken"):
    # As another program, which takes the port first.
    open("taken", "w").close()
    listener.bind((host, int(port)))
    subprocess.Popen(["sleep", "100"], pass_fds=[listener.fileno()])
    sys.exit("OSError: [Errno 98] Address already in use")
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((host, int(port)))
listener.listen(1024)


def serve(stream):
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with stream:
        while data := stream.recv(1 << 16):
            stream.sendall(data)


while True:
    stream, _ = listener.accept()
    if fault == "closes":
        stream.close()
        continue
    threading.Thread(target=serve, args=[stream], daemon=True).start()
