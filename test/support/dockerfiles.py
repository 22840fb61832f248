"""Packages with a Dockerfile, built through the library into a store of the test."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from assembler.dockerfile.builders import Builders
from assembler.events import EventRecorder
from assembler.oci.image_sources import ImageSources
from assembler.oci.platform import Platform, host_platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from assembler.packages import BuildContext, PackageJob, build_package
from assembler.packages.build_arguments import BuildArguments
from assembler.packages.options import PackageBuildOptions
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming, derive_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assembler.debian.engine_protocol import ArchiveEngine
    from assembler.oci.image import Image

BUILD_YML = "image: app\norg: example\narches: [amd64, arm64]\n"
AMD64 = Platform("linux", "amd64")
# What there is in the base with a shell.
PROGRAMS = ("sh", "cat", "sleep", "ls", "mkdir", "chmod")


@dataclass
class Kitchen:
    """A store, and a directory that packages are made in."""

    root: Path
    reporter: EventRecorder = field(default_factory=EventRecorder)

    @property
    def store(self) -> Store:
        """Return the store that images go to."""
        return Store(self.root / "store")

    @property
    def sources(self) -> ImageSources:
        """Return where bases come from: the store alone."""
        return ImageSources(store=self.store.root, offline=True)

    def package(
        self,
        dockerfile: str,
        files: Mapping[str, bytes | str | None] | None = None,
        build_yml: str = BUILD_YML,
        name: str = "app",
    ) -> Path:
        """Write a package; a text as a file's content is the target of a link, None a directory."""
        directory = self.root / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "build.yml").write_text(build_yml)
        (directory / "Dockerfile").write_text(dockerfile)
        for path, content in (files or {}).items():
            place = directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                place.mkdir(exist_ok=True)
            elif isinstance(content, str):
                place.symlink_to(content)
            else:
                place.write_bytes(content)
        return directory

    def build(
        self,
        directory: Path,
        *platforms: Platform,
        hash: str = "h",  # noqa: A002 - the option's name
        arguments: tuple[str, ...] = (),
        **more: Any,
    ) -> str:
        """Build a package and return the image's name."""
        package = read_package(directory)
        naming = Naming(hash=hash)
        job = PackageJob(
            package,
            derive_name(package, naming),
            platforms or (AMD64,),
            PackageBuildOptions(naming=naming, arguments=BuildArguments(arguments), **more),
        )
        builders = Builders(self.root / "store" / "buildah", self.reporter)
        context = BuildContext(cast("ArchiveEngine", None), self.sources, builders)
        return build_package(self.store, job, context, self.reporter).name

    def image(self, name: str = "example/app:h", platform: Platform = AMD64) -> Image:
        """Return an image of the store."""
        return find_image(self.store, Reference.parse(name), platform)

    def config(self, name: str = "example/app:h", platform: Platform = AMD64) -> dict[str, Any]:
        """Return the whole config of an image."""
        found = json.loads(self.store.read(self.image(name, platform).manifest.config))
        assert isinstance(found, dict)
        return found

    def tree(
        self, name: str = "example/app:h", platform: Platform = AMD64
    ) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        """Return all entries of all layers by path, later ones over earlier ones."""
        found = {}
        for layer in self.image(name, platform).manifest.layers:
            data = self.store.path(layer.digest).read_bytes()
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    found[member.name] = (member, file.read() if file else b"")
        return found


def kitchen_with_a_shell(root: Path) -> Kitchen:
    """Give a store with a base that has a shell: this machine's, as a package of its own."""
    kitchen = Kitchen(root)
    files: dict[str, bytes | str | None] = {}
    for program in PROGRAMS:
        path = shutil.which(program) or ""
        files[f"root/bin/{program}"] = Path(path).read_bytes()
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
        for word in listed.stdout.split():
            if word.startswith("/"):
                files["root" + word] = Path(word).read_bytes()
    dockerfile = "FROM scratch\nCOPY --chmod=0755 root /\nENV BASE=1\n"
    base = kitchen.package(dockerfile, files, "image: base\norg: example\n", "base")
    kitchen.build(base, host_platform(), hash="1")
    return kitchen


def programs_running(*words: str) -> list[str]:
    """Return the numbers of the processes that run a command, as a RUN has started it."""
    wanted = [word.encode() for word in words]
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().split(b"\0")[: len(wanted)] == wanted:
                found.append(path.parent.name)
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
