"""Run the container image of Dolmen by crun, as an ordinary user, and boot a web server in it.

It needs the archive that `make container` makes. The parts of the first boot are measured by
bench/first.py. install.py runs it in fresh roots (`--way oci`), with the image unpacked before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from run import REPOSITORY, add_accept_expired, debian_mirror

USER = 65534
_UNIFIED = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"'
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def main() -> int:
    """Run the image, and tell whether its machine answered."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--bundle", type=Path, help="run the bundle of an unpacked image")
    add_accept_expired(parser)
    arguments = parser.parse_args()
    mirror = debian_mirror(Path("/etc/apt"), accept_expired=arguments.accept_expired)
    if arguments.bundle is not None:
        return _boot(arguments.bundle, mirror)
    with tempfile.TemporaryDirectory(prefix="dolmen-container-") as scratch:
        unpack(Path(scratch), USER)
        return _boot(Path(scratch), mirror)


def _boot(bundle: Path, mirror: str) -> int:
    _configure(bundle, ["dolmen", "doctor"], mirror)
    if _run(bundle, "doctor"):
        return 1
    _configure(bundle, ["python3", "/work/first.py", "--way", "installed"], mirror)
    return _run(bundle, "first")


def unpack(bundle: Path, owner: int) -> None:
    """Make a bundle for OCI runtimes of the image, with the tools of Dolmen itself."""
    (archive,) = (REPOSITORY / "dist").glob("dolmen-*-oci.tar")
    dolmen = [sys.executable, "-m", "dolmen", "--cache", bundle / "store", "--quiet"]
    root = bundle / "rootfs"
    root.mkdir()
    subprocess.run([*dolmen, "cache", "import", archive], check=True, stdout=subprocess.DEVNULL)
    listing = subprocess.run([*dolmen, "cache", "ls"], check=True, capture_output=True, text=True)
    (name,) = re.findall(r"^\S*dolmen/dolmen:\S+", listing.stdout, re.MULTILINE)
    wanted = f"linux/{_ARCHITECTURES[platform.machine()]}"
    output = ["--format", "filesystem", "--platform", wanted, "--outfile", bundle / "root.tar"]
    subprocess.run([*dolmen, "cache", "export", name, *output], check=True)
    subprocess.run(["tar", "-xf", bundle / "root.tar", "-C", root, "--no-same-owner"], check=True)
    shutil.copy(REPOSITORY / "bench" / "first.py", root / "work")
    for path in (bundle / "root.tar", bundle / "store"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    subprocess.run(["chown", "-R", f"{owner}:{owner}", bundle], check=True)


def _configure(bundle: Path, arguments: list[str], mirror: str) -> None:
    """Write the file that the runtime reads: this machine's network, and its root as the user."""
    if not (bundle / "config.json").exists():
        words = ["setpriv", *_as_user(), "crun", "spec", "--rootless"]
        subprocess.run(words, cwd=bundle, check=True, env=_environment(bundle))
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"] |= {
        "terminal": False,
        "args": arguments,
        "cwd": "/work",
        "env": ["PATH=/usr/bin:/usr/sbin", "HOME=/root", "TMPDIR=/work"],
    }
    if mirror:
        spec["process"]["env"].append(f"DOLMEN_DEBIAN_MIRROR={mirror}")
    spec["root"]["readonly"] = False
    spec["linux"] |= {
        "uidMappings": [{"containerID": 0, "hostID": _user(), "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": _user(), "size": 1}],
    }
    # The network of this machine.
    spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "network"]
    # The user has no control groups of his own here.
    spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"):
        given = {"type": "none", "source": path, "options": ["bind", "ro"]}
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != path]
        spec["mounts"].append({"destination": path, **given})
    (bundle / "config.json").write_text(json.dumps(spec))


def _run(bundle: Path, name: str) -> int:
    command = ["crun", "--cgroup-manager", "disabled", "--root", bundle / "state", "run", name]
    (bundle / "state").mkdir(exist_ok=True)
    os.chown(bundle / "state", _user(), _user())
    words: list[str | Path] = ["setpriv", *_as_user(), *command]
    if os.geteuid() == 0:
        # crun refuses hosts that have both versions of control groups.
        words = ["unshare", "--mount", "sh", "-c", _UNIFIED, "sh", *words]
    done = subprocess.run(words, cwd=bundle, check=False, env=_environment(bundle))
    return done.returncode


def _user() -> int:
    return USER if os.geteuid() == 0 else os.geteuid()


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return ["--no-new-privs"]
    return [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]


def _environment(bundle: Path) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR": str(bundle)}


if __name__ == "__main__":
    sys.exit(main())
