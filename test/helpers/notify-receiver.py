"""A service manager's ear: prints each datagram at the address argv[1] as one
JSON line, from a Unix socket at a path or, when it begins with '@', with that
abstract name. Prints "ready" first. Ends with its stdin."""

import json
import os
import select
import socket
import sys

address = sys.argv[1]
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind("\0" + address[1:] if address.startswith("@") else address)
print("ready", flush=True)
while True:
    readable, _, _ = select.select([ear, sys.stdin], [], [])
    if ear in readable:
        text = ear.recv(4096).decode()
        print(json.dumps(dict(line.split("=", 1) for line in text.splitlines())), flush=True)
    if sys.stdin in readable and os.read(0, 1) == b"":
        break
