"""Run `dolmen run` as a person does: look at the page, then press Ctrl-C.

The arguments are the program and its words. Port 8080 becomes a free one. It prints the page.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

_LIMIT = 480.0


def main() -> int:
    """Return 0 if the page came and the machine ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [re.sub(r"\b8080\b", str(port), word) for word in sys.argv[1:]]
    # Standard output is for the page.
    process = subprocess.Popen(words, stdout=sys.stderr)
    try:
        page = _page(port, process)
        process.send_signal(signal.SIGINT)
        status = process.wait(60)
    finally:
        process.kill()
    sys.stdout.write(page)
    return 0 if page and status in (0, 128 + signal.SIGINT) else 1


def _page(port: int, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + _LIMIT
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/", timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.3)
    return ""


if __name__ == "__main__":
    # A background process of a shell ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
