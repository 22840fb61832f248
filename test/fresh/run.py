"""Follow the README's two commands on a fresh Debian: a minimal root with git, python3 and make.

The root is made by mmdebstrap and entered as a container does it: namespaces and pivot_root. With
`--confined` it is a chroot without CAP_SYS_ADMIN, like a plain container, where no namespace can be
made. This machine's network settings (resolver, certificates, pip's) go along.

`--accept-expired` is for a mirror that stands still: its indexes of testing expire after a week.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SUITES = ("bookworm", "trixie", "testing")
PACKAGES = "git,python3,make,ca-certificates"
USER, ID = "builder", 1000
# What Docker leaves a container by default.
CAPABILITIES = (
    "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,"
    "sys_chroot,mknod,audit_write,setfcap"
)
_MIRROR = re.compile(r"^(?:URIs:|deb\s+(?:\[[^]]*\]\s+)?)\s*(\S+/debian/?)(?:\s|$)", re.MULTILINE)
# In the namespaces, before the root is entered: what a container's runtime mounts.
ENTER = r"""
set -eu
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 -o ro cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty fuse net/tun; do
  [ -e "/dev/$device" ] || continue
  mkdir -p "$root/dev/$(dirname "$device")"
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
hostname fresh
"""
# By this machine's Python, since a minimal root has no umount.
PIVOT = r"""
cd "$root"
mkdir -p .old
exec python3 -c '
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for call in (lambda: libc.pivot_root(b".", b".old"), lambda: libc.umount2(b"/.old", 2)):
    if call():
        sys.exit(os.strerror(ctypes.get_errno()))
os.rmdir("/.old")
os.execvp(sys.argv[1], sys.argv[1:])
' "$@"
"""
CHROOT = r"""
exec chroot "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class Round:
    """A fresh root, who works in it, and the commands."""

    suite: str
    confined: bool
    user: bool
    commands: tuple[str, ...]

    def __str__(self) -> str:
        who = "an ordinary user" if self.user else "root"
        where = "confined" if self.confined else "a container"
        return f"{self.suite}, {where}, {who}"


def main() -> int:
    """Run the rounds that are asked for, and say how each ended."""
    arguments = _parse()
    if os.geteuid() != 0:
        sys.exit("test-fresh mounts file systems: run it as root")
    if shutil.which("mmdebstrap") is None:
        sys.exit("mmdebstrap is not installed: apt-get install mmdebstrap")
    failed = []
    for suite in arguments.suite or SUITES:
        for user in (False, True) if arguments.user is None else (arguments.user,):
            one = Round(suite, arguments.confined, user, tuple(arguments.command))
            print(f"==> {one}", flush=True)
            if not _run(one, accept_expired=arguments.accept_expired):
                failed.append(one)
    for one in failed:
        print(f"FAILED: {one}", flush=True)
    return 1 if failed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--suite", action="append", choices=SUITES, help="default: all")
    parser.add_argument(
        "--user",
        action=argparse.BooleanOptionalAction,
        help="only as an ordinary user (or, --no-user, only as root); default: both",
    )
    parser.add_argument("--confined", action="store_true", help="a chroot without CAP_SYS_ADMIN")
    add_accept_expired(parser)
    parser.add_argument(
        "command", nargs="*", default=["make demo", "make test-fast"], help="commands of a shell"
    )
    return parser.parse_args()


def add_accept_expired(parser: argparse.ArgumentParser) -> None:
    """Add the option that accepts an archive whose indexes have expired."""
    parser.add_argument(
        "--accept-expired",
        action="store_true",
        help="accept indexes that are no longer valid (Valid-Until), as apt's setting does",
    )


def _run(one: Round, *, accept_expired: bool) -> bool:
    archive = base(one.suite, accept_expired=accept_expired)
    with tempfile.TemporaryDirectory(prefix="fresh-", dir=archive.parent) as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        subprocess.run(["tar", "-xpf", archive, "-C", root, "--numeric-owner"], check=True)
        copy_network_settings(root)
        home = root / "home" / USER if one.user else root / "root"
        if one.user:
            add_user(root)
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, home / "dolmen"], check=True)
        if one.user:
            subprocess.run(
                ["chroot", root, "chown", "-R", USER, home.relative_to(root)], check=True
            )
            # What the administrator of the machine does, as `make` says it.
            demo_only = all(command == "make demo" for command in one.commands)
            lists = "demo-packages.txt" + ("" if demo_only else " packages.txt")
            if not enter(one, root, f"/home/{USER}/dolmen/.ci/setup {lists}", user=False):
                return False
        for command in one.commands:
            print(f"--> {command}", flush=True)
            where = f"/{home.relative_to(root)}/dolmen"
            if not enter(one, root, f"cd {where} && {command}", user=one.user):
                return False
    return True


def add_user(root: Path, *, subordinate_ids: bool = True) -> None:
    """Add an ordinary user; a minimal root may have no useradd."""
    lines = {
        "passwd": f"{USER}:x:{ID}:{ID}::/home/{USER}:/bin/bash",
        "group": f"{USER}:x:{ID}:",
    }
    if subordinate_ids:
        lines |= dict.fromkeys(("subuid", "subgid"), f"{USER}:100000:65536")
    for name, line in lines.items():
        with (root / "etc" / name).open("a") as file:
            file.write(line + "\n")
    (root / "home" / USER).mkdir()


def base(suite: str, *, accept_expired: bool = False) -> Path:
    """Return a tar of the root, kept for a day.

    `accept_expired`: apt in the root has the setting, too, and Dolmen inherits it from apt.
    """
    folder = REPOSITORY / "build" / "fresh"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{suite}-accept-expired" if accept_expired else suite
    archive = folder / f"{name}.tar"
    if not archive.exists():
        part = folder / f"{name}.part.tar"
        options = ["--variant=apt", f"--include={PACKAGES}"]
        if accept_expired:
            options.append('--aptopt=Acquire::Check-Valid-Until "false"')
        subprocess.run(["mmdebstrap", "--quiet", *options, suite, part], check=True)
        part.replace(archive)
    return archive


def debian_mirror(etc_apt: Path, *, accept_expired: bool = False) -> str:
    """Return Dolmen's setting for the mirror of Debian that a machine's apt has, or nothing."""
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    mirror = _MIRROR.search("\n".join(path.read_text() for path in files if path.is_file()))
    if mirror is None:
        return ""
    return f"[check-valid-until=no] {mirror[1]}" if accept_expired else mirror[1]


def copy_network_settings(root: Path) -> None:
    """Copy what this machine needs to reach the network."""
    for name in (
        "etc/resolv.conf",
        "etc/hosts",
        "etc/pip.conf",
        "etc/ssl/certs/ca-certificates.crt",
    ):
        source = Path("/") / name
        if source.exists():
            (root / name).unlink(missing_ok=True)
            shutil.copyfile(source, root / name)


def enter(one: Round, root: Path, command: str, *, user: bool) -> bool:
    """Run a command of a shell in the root, and tell whether it succeeded."""
    kept = ("PIP_", "HTTP", "http", "NO_PROXY", "no_proxy", "SSL_", "DOLMEN_TEST_")
    settings = {k: v for k, v in os.environ.items() if k.startswith(kept) and k != "PIP_FIND_LINKS"}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    home = f"/home/{USER}" if user else "/root"
    environment = {**settings, "PATH": path, "HOME": home, "LANG": "C.UTF-8", "TERM": "dumb"}
    words = ["env", "-i", *(f"{k}={v}" for k, v in environment.items()), "sh", "-c", command]
    if user:
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *words]
    elif one.confined:
        bounds = "-all," + ",".join(f"+{name}" for name in CAPABILITIES.split(","))
        words = ["setpriv", f"--bounding-set={bounds}", f"--inh-caps={bounds}", *words]
    script = ENTER + (CHROOT if one.confined else PIVOT)
    spaces = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    done = subprocess.run([*spaces, "sh", "-c", script, "enter", root, *words], check=False)
    if done.returncode:
        print(f"{shlex.join(words[-3:])} ended with {done.returncode}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
