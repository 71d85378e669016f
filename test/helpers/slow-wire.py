"""A wire that takes its time: passes the frames of two interfaces on to each
other, each after so many milliseconds. For kernels without netem.

    slow-wire.py INTERFACE INTERFACE MILLISECONDS
    slow-wire.py --no-offload INTERFACE

The first says "ready" when it passes frames on, and goes on until it is ended.
The second is for both ends of the wire: their frames have to be whole, and
have checksums, as no kernel delivers them.
"""

import array
import collections
import fcntl
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SIOCETHTOOL = 0x8946
OFFLOADS = [0x17, 0x1F, 0x24]  # ETHTOOL_STXCSUM, STSO, SGSO
FRAME_MAX = 1 << 16
QUEUE_MAX = 20000  # frames; what comes then is lost, as on any wire


def no_offload(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for offload in OFFLOADS:
            value = array.array("I", [offload, 0])
            request = struct.pack("16sP", name.encode(), value.buffer_info()[0])
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request.ljust(40, b"\0"))
            except OSError as err:
                sys.exit(f"slow-wire: {name}: {err}")


def open_end(name):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.bind((name, 0))
    end.setblocking(False)
    return end


def take(end, queue, due):
    """All that has come; what this program has sent itself is not for us."""
    while True:
        try:
            frame, (_, _, kind, *_) = end.recvfrom(FRAME_MAX)
        except BlockingIOError:
            return
        if kind != socket.PACKET_OUTGOING and len(queue) < QUEUE_MAX:
            queue.append((due, frame))


def give(end, queue, now):
    while queue and queue[0][0] <= now:
        try:
            end.send(queue.popleft()[1])
        except OSError:
            pass  # a full interface, or one that is down, loses it


def run(names, delay):
    ends = [open_end(name) for name in names]
    queues = {ends[0]: collections.deque(), ends[1]: collections.deque()}
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    print("ready", flush=True)
    while True:
        due = min((queue[0][0] for queue in queues.values() if queue), default=None)
        wait = None if due is None else max(0, due - time.monotonic())
        came, _, _ = select.select(ends, [], [], wait)
        now = time.monotonic()
        for end in came:
            take(end, queues[other[end]], now + delay)
        for end in ends:
            give(end, queues[end], now)


if __name__ == "__main__":
    if sys.argv[1] == "--no-offload":
        no_offload(sys.argv[2])
    else:
        run(sys.argv[1:3], float(sys.argv[3]) / 1000)
