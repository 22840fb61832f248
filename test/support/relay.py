"""Carry one connection of a guest: from standard input, which is a socket, to a port of this host.

QEMU starts this for each connection to an address that the guest's network has only for it.
"""

from __future__ import annotations

import select
import socket
import sys


def main() -> None:
    """Copy both ways until both sides have ended."""
    guest = socket.socket(fileno=0)
    server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    other = {guest: server, server: guest}
    ends = [guest, server]
    while ends:
        for end in select.select(ends, [], [])[0]:
            try:
                data = end.recv(1 << 16)
                if data:
                    other[end].sendall(data)
                    continue
                other[end].shutdown(socket.SHUT_WR)
            except OSError:
                return
            ends.remove(end)


if __name__ == "__main__":
    main()
