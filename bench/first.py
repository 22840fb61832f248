#!/usr/bin/env python3
"""How long the first boot takes of somebody who has nothing: from the installation to the page.

python bench/first.py --wheel dist/dolmen-….whl             in a fresh virtual environment
python bench/first.py --wheel dist/dolmen-….whl --way uvx   by uvx
python bench/first.py --way installed                       the command in the PATH

It needs Python and QEMU alone. Downloads are included: home, store and caches are empty.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFERENCE = re.compile(r"@dolmen:[a-z0-9-]+")
LIMIT = 300


class Measurement:
    """The directory of a user who begins, and the seconds of each part."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "VIRTUAL_ENV"))}
        empty = {"PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}
        self.environment = {**kept, **empty, "HOME": str(home)}
        self.environment.pop("DOLMEN_CACHE", None)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a part."""
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)

    def run(self, *words: str | Path) -> None:
        """Run a command in the directory."""
        done = subprocess.run(
            words,
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")


def install(user: Measurement, way: str, wheel: Path | None) -> list[str | Path]:
    """Install Dolmen, and return the words that a command begins with."""
    if way == "installed":
        return ["dolmen"]
    if wheel is None:
        sys.exit("--wheel is missing")
    tools = user.home / "tools"
    user.run(sys.executable, "-m", "venv", tools)
    if way == "pip":
        user.run(tools / "bin/pip", "install", "--quiet", wheel)
        return [tools / "bin/dolmen"]
    user.run(tools / "bin/pip", "install", "--quiet", "uv")
    # uvx makes the environment once, and keeps it in its cache.
    user.environment.pop("UV_NO_CACHE")
    command: list[str | Path] = [tools / "bin/uvx", "--from", wheel, "dolmen"]
    user.run(*command, "--help")
    return command


def architecture() -> str:
    """Return the name that OCI has for this machine's architecture."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def free_port() -> int:
    """Return a port of this machine that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def boot(user: Measurement, dolmen: list[str | Path], port: int) -> None:
    """Start the machine, and wait for its page."""
    waiting = ["--detached", "--wait-port", str(port), "--timeout", f"{LIMIT}s"]
    name = f"first-{port}"
    try:
        user.run(
            *dolmen, "run", "qemu", "--name", name, "--publish", f"{port}:80", *waiting, "image"
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
            if not page.read():
                sys.exit("the page is empty")
    finally:
        subprocess.run(
            [*dolmen, "stop", name],
            env=user.environment,
            cwd=user.home,
            capture_output=True,
            check=False,
        )


def measure(way: str, wheel: Path | None) -> dict[str, float]:
    """Return the seconds of each part."""
    with tempfile.TemporaryDirectory(prefix="dolmen-first-") as directory:
        user = Measurement(Path(directory))
        with user.part("install"):
            dolmen = install(user, way, wheel)
        user.run(*dolmen, "new", "image.yml")
        with user.part("packages"):
            # `dolmen build` would build them, too; so they are measured alone.
            names = dict.fromkeys(_REFERENCE.findall((user.home / "image.yml").read_text()))
            user.run(*dolmen, "pkg", "build", "--platforms", f"linux/{architecture()}", *names)
        with user.part("assemble"):
            user.run(*dolmen, "build", "image.yml")
        with user.part("boot"):
            boot(user, dolmen, free_port())
        return {**user.seconds, "total": round(sum(user.seconds.values()), 1)}


def main() -> None:
    """Measure, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--way", choices=("pip", "uvx", "installed"), default="pip")
    parser.add_argument("--wheel", type=lambda text: Path(text).resolve())
    parser.add_argument("--json", type=Path, help="a file for the result")
    arguments = parser.parse_args()
    if not any(map(shutil.which, ("qemu-system-x86_64", "qemu-system-aarch64"))):
        sys.exit("QEMU is not installed")
    seconds = measure(arguments.way, arguments.wheel)
    print("| part | seconds |\n|---|---:|")
    for name, value in seconds.items():
        print(f"| {name} | {value} |")
    result = json.dumps({"way": arguments.way, "seconds": seconds})
    print(result)
    if arguments.json is not None:
        arguments.json.write_text(result + "\n")


if __name__ == "__main__":
    main()
