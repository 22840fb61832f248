"""Serve images over HTTP, for machines that boot from the network.

Server(options, reporter=...)    a context manager that listens: address, serve_forever, shutdown
ServeOptions                     the directory, host and port
parse_listen_address(text)       `8080` or `0.0.0.0:8080` -> host, port
ipxe_scripts(directory)          the scripts for iPXE of a directory's images
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.serve.ipxe import ipxe_scripts
    from assembler.serve.server import ServeOptions, Server, parse_listen_address

_HOMES = {
    "ServeOptions": "server",
    "Server": "server",
    "ipxe_scripts": "ipxe",
    "parse_listen_address": "server",
}

__all__ = [
    "ServeOptions",
    "Server",
    "ipxe_scripts",
    "parse_listen_address",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
