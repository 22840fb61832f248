"""A tree with Dolmen and its locked libraries: a virtual environment for several Pythons.

The compiled modules of a library have the version of their Python in their names, and its other
files are the same for all Pythons. So one folder serves all of them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from release.sources import REPOSITORY, reproducible_environment
from release.strip import strip_debug_information
from release.tree import File, Tree

# The interpreters that Debian 12, Debian 13, testing and Ubuntu 24.04 have.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ROOT = "usr/lib/dolmen"
_SITE = "site-packages"
# pip's names of the machines that Debian calls so; glibc 2.28 is that of Debian 10.
PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
# Libraries for parts of rich that Dolmen does not use; gpgv checks signatures.
_LEFT_OUT_LIBRARIES = ("pygments", "markdown_it", "mdurl", "pysequoia")
_LEFT_OUT_FILES = (
    # The backend of zstandard for PyPy.
    "zstandard/_cffi.",
    "zstandard/backend_cffi.py",
    "debian/doc-debtags",
)
_LEFT_OUT_METADATA = (
    *("RECORD", "INSTALLER", "REQUESTED", "WHEEL"),
    *("direct_url.json", "uv_cache.json", "licenses", "LICENSE"),
)
_CERTIFICATES = "certifi/cacert.pem"
_LAUNCHER = f"""\
#!/bin/sh
exec /{ROOT}/bin/python3 -P -m dolmen "$@"
"""


@dataclass(frozen=True, slots=True)
class Library:
    """A library in the tree: its name, version, metadata, and the texts of its licences."""

    name: str
    version: str
    metadata: str
    # The top-level names that belong to it.
    modules: tuple[str, ...]
    licences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """The files of the environment, and the libraries in it."""

    tree: Tree
    libraries: tuple[Library, ...]


def make_environment(
    wheel: Path, architecture: str, pythons: tuple[str, ...] = PYTHONS
) -> Environment:
    """Return the environment for an architecture, with `dolmen` in usr/bin."""
    site: Tree = {}
    libraries: dict[str, Library] = {}
    with tempfile.TemporaryDirectory(prefix="dolmen-environment-") as scratch:
        for python in pythons:
            directory = Path(scratch) / python
            _install(wheel, architecture, python, directory)
            strip_debug_information(sorted(directory.rglob("*.so")), architecture)
            for library in _libraries(directory):
                libraries.setdefault(library.name, library)
            _merge(site, _files(directory))
    tree = {f"{ROOT}/{_SITE}/{path}": file for path, file in site.items()}
    tree[f"{ROOT}/{_SITE}/{_CERTIFICATES}"] = File(link="/etc/ssl/certs/ca-certificates.crt")
    tree[f"{ROOT}/pyvenv.cfg"] = File(b"home = /usr/bin\ninclude-system-site-packages = false\n")
    tree[f"{ROOT}/bin/python3"] = File(link="../../../bin/python3")
    for python in pythons:
        tree[f"{ROOT}/lib/python{python}/site-packages"] = File(link=f"../../{_SITE}")
    tree["usr/bin/dolmen"] = File(_LAUNCHER.encode(), 0o755)
    return Environment(tree, tuple(libraries[name] for name in sorted(libraries)))


def _install(wheel: Path, architecture: str, python: str, directory: Path) -> None:
    """Install the wheel and the locked versions of its libraries, for another machine."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("uv"),
        *("pip", "install", "--quiet", "--target", directory, "--python-version", python),
        *("--python-platform", PLATFORMS[architecture], "--only-binary", ":all:"),
        *("--link-mode", "copy", "--constraint", REPOSITORY / "requirements.txt"),
        f"dolmen[all] @ {wheel.resolve().as_uri()}",
    ]
    subprocess.run(command, env=reproducible_environment(), check=True)


def _libraries(directory: Path) -> list[Library]:
    found = []
    for info in sorted(directory.glob("*.dist-info")):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        record = (info / "RECORD").read_text("utf-8")
        paths = [line.split(",", 1)[0].split("/", 1)[0] for line in record.splitlines()]
        modules = {p for p in paths if p not in (info.name, "..", "bin", "share")}
        names = ("LICEN", "COPYING", "NOTICE")
        licences = [p for p in sorted(info.rglob("*")) if p.name.startswith(names) and p.is_file()]
        texts = tuple(path.read_text("utf-8") for path in licences)
        if not modules & set(_LEFT_OUT_LIBRARIES):
            metadata = (info / "METADATA").read_text("utf-8")
            found.append(Library(name, version, metadata, tuple(sorted(modules)), texts))
    return found


def _files(directory: Path) -> Tree:
    found = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and not _is_left_out(name):
            # Modes of the catalogue are part of its packages' tags.
            mode = 0o755 if path.stat().st_mode & 0o100 and not path.match("*.so") else 0o644
            found[name] = File(_content(path), mode)
    return found


def _is_left_out(name: str) -> bool:
    top, *rest = name.split("/")
    library = top.removesuffix(".dist-info").partition("-")[0]
    if library in _LEFT_OUT_LIBRARIES or library.removesuffix("_py") in _LEFT_OUT_LIBRARIES:
        return True
    if top in ("bin", "share", ".lock") or {"__pycache__", "tests"} & set(rest):
        return True
    if top.endswith(".dist-info"):
        # The file "copyright" of the package has the licences.
        return rest[0] in _LEFT_OUT_METADATA
    return name.startswith(_LEFT_OUT_FILES)


def _content(path: Path) -> bytes:
    """Return the bytes of a file; the `#!` of a module becomes a comment: it is no program."""
    data = path.read_bytes()
    return b"# " + data[2:] if path.suffix == ".py" and data.startswith(b"#!") else data


def _merge(site: Tree, more: Tree) -> None:
    for path, file in more.items():
        if site.setdefault(path, file) != file:
            raise ValueError(f"{path} is not the same for all versions of Python")
