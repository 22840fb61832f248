"""Builds the container image of Dolmen by Dolmen: dist/dolmen-VERSION-oci.tar."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from release.arguments import parse_arguments
from release.environment import PLATFORMS, make_environment
from release.sources import REPOSITORY, VERSION, reproducible_environment
from release.tree import write_tree
from release.wheel import build_wheel

SOURCES = REPOSITORY / "packaging" / "container"
# That of the suite in base/build.yml.
_PYTHON = "3.13"
# The recipe makes this link, since it leads out of the build context.
_CERTIFICATES = "usr/lib/dolmen/site-packages/certifi/cacert.pem"


def build_container(wheel: Path, architectures: list[str], archive: Path) -> None:
    """Build the image for architectures, and export it as an OCI archive."""
    with tempfile.TemporaryDirectory(prefix="dolmen-container-") as scratch:
        work = Path(scratch)
        shutil.copytree(SOURCES, work, dirs_exist_ok=True)
        package = work / "dolmen"
        for architecture in architectures:
            tree = make_environment(wheel, architecture, (_PYTHON,)).tree
            del tree[_CERTIFICATES]
            write_tree(tree, package / "environments" / architecture)
        platforms = ",".join(f"linux/{architecture}" for architecture in architectures)
        name = f"dolmen/dolmen:{VERSION}"
        _dolmen("pkg", "build", "--platforms", platforms, "--tag", VERSION, "--force", package)
        _dolmen("cache", "export", name, "--outfile", archive)


def _dolmen(*words: str | Path) -> None:
    command = [sys.executable, "-m", "dolmen", *words]
    subprocess.run(command, env=reproducible_environment(), stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Build the image, and print the path of its archive."""
    arguments = parse_arguments(__doc__, "all")
    wheel = build_wheel(arguments.directory)
    archive = arguments.directory / f"dolmen-{VERSION}-oci.tar"
    build_container(wheel, list(arguments.architectures) or sorted(PLATFORMS), archive)
    sys.stdout.write(f"{archive}\n")


if __name__ == "__main__":
    main()
