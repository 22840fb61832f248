"""Install Dolmen on a fresh Debian in each way, and boot a web server as an ordinary user.

The root has Python, QEMU and no checkout. The ways: the Debian package, pip, and uvx. The parts of
the first boot are measured by bench/first.py.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from run import REPOSITORY, SUITES, USER, Round, add_user, base, copy_network_settings, enter

WAYS = ("deb", "pip", "uvx")
_APT = "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq"
# What the administrator installs; APT recommends QEMU with the Debian package.
_PREPARATION = {
    "deb": f"{_APT} /opt/dist/dolmen_*.deb >/dev/null",
    "pip": f"{_APT} --no-install-recommends python3-venv qemu-system-x86 >/dev/null",
}
_FIRST = "python3 /opt/dist/first.py"
_COMMANDS = {
    "deb": f"dolmen --help >/dev/null && man -w dolmen 2>/dev/null; {_FIRST} --way installed",
    "pip": f"{_FIRST} --wheel /opt/dist/dolmen-*.whl --way pip",
    "uvx": f"{_FIRST} --wheel /opt/dist/dolmen-*.whl --way uvx",
}


def main() -> int:
    """Run the rounds that are asked for, and say how each ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--suite", action="append", choices=SUITES, help="default: all")
    parser.add_argument("--way", action="append", choices=WAYS, help="default: all")
    parser.add_argument("--confined", action="store_true", help="a chroot without CAP_SYS_ADMIN")
    arguments = parser.parse_args()
    failed = []
    for suite in arguments.suite or SUITES:
        for way in arguments.way or WAYS:
            one = Round(suite, arguments.confined, True, ())
            print(f"==> {one}, by {way}", flush=True)
            if not _run(one, way):
                failed.append(f"{one}, by {way}")
    for text in failed:
        print(f"FAILED: {text}", flush=True)
    return 1 if failed else 0


def _run(one: Round, way: str) -> bool:
    archive = base(one.suite)
    with tempfile.TemporaryDirectory(prefix="fresh-", dir=archive.parent) as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        subprocess.run(["tar", "-xpf", archive, "-C", root, "--numeric-owner"], check=True)
        copy_network_settings(root)
        add_user(root, subordinate_ids=False)
        home = root / "home" / USER
        subprocess.run(["chroot", root, "chown", USER, home.relative_to(root)], check=True)
        dist = root / "opt" / "dist"
        dist.mkdir()
        patterns = ("dolmen-*.whl", "dolmen_*.deb")
        made = [path for pattern in patterns for path in (REPOSITORY / "dist").glob(pattern)]
        for path in (*made, REPOSITORY / "bench" / "first.py"):
            shutil.copy(path, dist)
        if not enter(one, root, _PREPARATION.get(way, _PREPARATION["pip"]), user=False):
            return False
        return enter(one, root, f"cd && {_COMMANDS[way]}", user=True)


if __name__ == "__main__":
    sys.exit(main())
