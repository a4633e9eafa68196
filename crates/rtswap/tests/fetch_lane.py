"""A lane for `fetch` that knows LANES.md and Python's standard library, and nothing of rtswap.

With an argument it misbehaves: `claims` more than it has downloaded, leaves `half` a file or a `part`.
"""
import http.client
import json
import os
import ssl
import sys
import time
from urllib.parse import urlsplit

fault = sys.argv[1] if len(sys.argv) > 1 else ""


def say(answer):
    print(json.dumps(answer), flush=True)


def fetch(connection, base, folder, size, number):
    name = f"{size}-{number}"
    connection.request("GET", f"{base}/{name}")
    response = connection.getresponse()
    image = response.read()
    if response.status != 200 or len(image) != size:
        say({"answer": "failed", "status": "failed", "reason": f"{name}: {response.status}"})
        sys.exit(1)
    part = os.path.join(folder, f".{name}.part")
    with open(part, "wb") as file:
        file.write(image[: size // 2] if fault == "half" else image)
    if fault != "part":
        os.rename(part, os.path.join(folder, name))


for line in sys.stdin:
    order = json.loads(line)
    if order["order"] == "prepare":
        params = dict(part.split("=") for part in order["workload"].split("/")[1:])
        given = order["resources"]
        url = urlsplit(given["origin"])
        if params["verify_tls"] == "true":
            context = ssl.create_default_context(cafile=given["origin-root"])
        else:
            context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(url.hostname, url.port, context=context)
        connection.connect()
        info = {"runtime": "python", "version": sys.version.split()[0], "driver": "none",
                   "workers": 1, "shards": 1}
        say({"answer": "ready", "info": info})
    elif order["order"] == "slice":
        begin = time.monotonic_ns()
        ops = 0
        while time.monotonic_ns() - begin < order["ms"] * 1_000_000:
            for number in range(int(params["images"])):
                fetch(connection, url.path, given["folder"], int(params["size"]), number)
                ops += 1
        # All that it ever downloads is less than that.
        claimed = ops + 1_000_000 if fault == "claims" else ops
        say({"answer": "slice", "ops": claimed, "elapsed_ns": time.monotonic_ns() - begin})
    else:
        say({"answer": "stopped"})
        break
