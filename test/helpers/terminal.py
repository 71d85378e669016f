"""Runs a command on a terminal of its own: terminal.py ROWS COLUMNS COMMAND...

What the terminal is told goes to stdout as it comes. Lines on stdin are orders:
"type TEXT" (a JSON string) types, "resize ROWS COLUMNS" resizes, "signal NAME"
sends a signal, "hangup" closes the terminal. The exit code is the command's; it ends with its stdin.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios

rows, columns, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
pid, master = pty.fork()
if pid == 0:
    # The size is set before anybody can ask for it.
    os.read(0, 1)
    os.execvp(command[0], command)


def resize(rows, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


attributes = termios.tcgetattr(master)
attributes[3] &= ~termios.ECHO
termios.tcsetattr(master, termios.TCSANOW, attributes)
resize(rows, columns)
os.write(master, b"\n")
orders = b""
is_open = True
while is_open:
    readable, _, _ = select.select([master, 0], [], [])
    if master in readable:
        try:
            data = os.read(master, 65536)
        except OSError:  # Linux: the other side has closed it
            break
        if data == b"":
            break
        os.write(1, data)
    if 0 in readable:
        data = os.read(0, 65536)
        if data == b"":
            os.kill(pid, signal.SIGKILL)
            break
        orders += data
        *lines, orders = orders.split(b"\n")
        for line in lines:
            verb, _, rest = line.decode().partition(" ")
            if verb == "type":
                os.write(master, json.loads(rest).encode())
            elif verb == "resize":
                resize(*map(int, rest.split()))
            elif verb == "signal":
                os.kill(pid, signal.Signals[rest])
            elif verb == "hangup":
                os.close(master)
                is_open = False
# Without its terminal it ends, or is ended together with our stdin.
ended, status = os.waitpid(pid, os.WNOHANG if not is_open else 0)
while ended == 0:
    readable, _, _ = select.select([0], [], [], 0.1)
    if 0 in readable and os.read(0, 65536) == b"":
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        break
    ended, status = os.waitpid(pid, os.WNOHANG)
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
