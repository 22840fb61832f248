"""Install Dolmen on a fresh Debian in each way, and boot a web server as an ordinary user.

The root has Python, QEMU and no checkout. The ways: the Debian package, pip, uvx, and the container
image by crun. The parts of the first boot are measured by bench/first.py.

With `--no-mirrors`, /etc/apt is emptied, and no package can be built. Then the configuration file
of the user names a mirror, and the three commands of a beginner work: new, build, run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from run import (
    ID,
    REPOSITORY,
    SUITES,
    USER,
    Round,
    add_accept_expired,
    add_user,
    base,
    copy_network_settings,
    debian_mirror,
    enter,
)

import container

WAYS = ("deb", "pip", "uvx", "oci")
_APT = "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq"
_WITHOUT_CHECKOUT = f"{_APT} --no-install-recommends python3-venv qemu-system-x86 >/dev/null"
# What the administrator installs; APT recommends QEMU with the Debian package.
_PREPARATION = {
    "deb": f"{_APT} /opt/dist/dolmen_*.deb >/dev/null",
    "pip": _WITHOUT_CHECKOUT,
    "uvx": _WITHOUT_CHECKOUT,
    "oci": f"{_APT} --no-install-recommends crun >/dev/null",
}
_FIRST = "python3 /opt/dist/first.py"
_COMMANDS = {
    "deb": f"dolmen --help >/dev/null && man -w dolmen 2>/dev/null; {_FIRST} --way installed",
    "pip": f"{_FIRST} --wheel /opt/dist/dolmen-*.whl --way pip",
    "uvx": f"{_FIRST} --wheel /opt/dist/dolmen-*.whl --way uvx",
    "oci": "python3 /opt/dist/container.py --bundle ~/bundle",
}
# What makes `dolmen` a command of the shell; with the image, Dolmen never sees /etc/apt.
_INSTALLATION = {
    "deb": "",
    "pip": """
python3 -m venv tools
tools/bin/pip install --quiet /opt/dist/dolmen-*.whl
PATH="$HOME/tools/bin:$PATH"
""",
    "uvx": """
python3 -m venv tools
tools/bin/pip install --quiet uv
dolmen() { tools/bin/uvx --quiet --from /opt/dist/dolmen-*.whl dolmen "$@"; }
""",
}
_BEGINNER = """
if dolmen pkg build @dolmen:nginx; then echo 'it builds without a mirror'; exit 1; fi
mkdir -p ~/.config/dolmen
echo 'debian.mirror = "{mirror}"' >~/.config/dolmen/config.toml
seconds() { began=$(date +%s); "$@"; echo "$* took $(($(date +%s) - began)) s"; }
dolmen config debian.mirror
seconds dolmen new image.yml
seconds dolmen build image.yml
seconds dolmen run qemu --publish 8080:80 --detached --wait-port 8080 --timeout 300s image
python3 -c 'from urllib.request import urlopen; print(urlopen("http://localhost:8080/").read(60))'
dolmen stop image
"""


def main() -> int:
    """Run the rounds that are asked for, and say how each ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--suite", action="append", choices=SUITES, help="default: all")
    parser.add_argument("--way", action="append", choices=WAYS, help="default: all")
    parser.add_argument("--confined", action="store_true", help="a chroot without CAP_SYS_ADMIN")
    parser.add_argument("--no-mirrors", action="store_true", help="an empty /etc/apt; not for oci")
    add_accept_expired(parser)
    arguments = parser.parse_args()
    ways = [way for way in WAYS if way in _INSTALLATION or not arguments.no_mirrors]
    failed = []
    for suite in arguments.suite or SUITES:
        for way in arguments.way or ways:
            one = Round(suite, arguments.confined, True, ())
            print(f"==> {one}, by {way}", flush=True)
            if not _run(one, way, arguments):
                failed.append(f"{one}, by {way}")
    for text in failed:
        print(f"FAILED: {text}", flush=True)
    return 1 if failed else 0


def _run(one: Round, way: str, arguments: argparse.Namespace) -> bool:
    accept_expired = arguments.accept_expired
    archive = base(one.suite, accept_expired=accept_expired)
    with tempfile.TemporaryDirectory(prefix="fresh-", dir=archive.parent) as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        subprocess.run(["tar", "-xpf", archive, "-C", root, "--numeric-owner"], check=True)
        copy_network_settings(root)
        add_user(root, subordinate_ids=False)
        home = root / "home" / USER
        subprocess.run(["chroot", root, "chown", USER, home.relative_to(root)], check=True)
        _copy_files(root / "opt" / "dist")
        if way == "oci":
            (home / "bundle").mkdir()
            container.unpack(home / "bundle", ID)
        if not enter(one, root, _PREPARATION[way], user=False):
            return False
        command = _COMMANDS[way]
        if arguments.no_mirrors:
            mirror = debian_mirror(root / "etc" / "apt", accept_expired=accept_expired)
            _empty(root / "etc" / "apt")
            command = "set -e\n" + _INSTALLATION[way] + _BEGINNER.replace("{mirror}", mirror)
        elif way == "oci" and accept_expired:
            command += " --accept-expired"
        return enter(one, root, f"cd && {command}", user=True)


def _copy_files(dist: Path) -> None:
    dist.mkdir()
    patterns = ("dolmen-*.whl", "dolmen_*.deb")
    made = [path for pattern in patterns for path in (REPOSITORY / "dist").glob(pattern)]
    scripts = Path(__file__).parent.glob("*.py")
    for path in (*made, REPOSITORY / "bench" / "first.py", *scripts):
        shutil.copy(path, dist)


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    sys.exit(main())
