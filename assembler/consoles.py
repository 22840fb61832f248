"""The serial consoles of virtual machines, by architecture: the names that Linux gives them."""

from __future__ import annotations

# What `console=` on the kernel's command line names.
SERIAL_CONSOLES = {
    "amd64": "ttyS0",
    "arm64": "ttyAMA0",
    "riscv64": "ttyS0",
    "s390x": "ttysclp0",
}
