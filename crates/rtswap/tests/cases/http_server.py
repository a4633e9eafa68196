"""http_server.py HOST:PORT [FAULT]: a server that answers with what it was asked, without the lane protocol."""
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

host, port = sys.argv[1].rsplit(":", 1)
fault = sys.argv[2] if len(sys.argv) > 2 else ""
LATE = 40
answers = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0" if fault == "http10" else "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_GET(self):
        global answers
        answers += 1
        payload = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        body = f"{self.command} {self.path} {self.headers.get('x-key')} {payload}".encode()
        if fault == "garbage":
            self.wfile.write(b"garbage\r\n\r\n")
            return
        if fault == "no-answer":
            self.close_connection = True
            return
        if fault == "crash" and answers > LATE:
            os.abort()
        if fault == "varies" or fault == "varies-late" and answers > LATE:
            body += str(answers).encode().rjust(9)
        elif fault == "varies-late":
            body += b" " * 9
        self.send_response({"500": 500, "redirect": 302}.get(fault, 200))
        if fault == "close":
            self.send_header("connection", "close")
        if fault == "closes":
            self.close_connection = True
        if fault == "gzip":
            self.send_header("content-encoding", "gzip")
        if fault == "chunked":
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for part in body[:3], body[3:], b"":
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        else:
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        self.wfile.flush()

    do_POST = do_GET


ThreadingHTTPServer.request_queue_size = 1024
ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
