"""The source of a kernel in a toolchain's tree, and its configuration from fragments."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.debian import copy_deb_file
from assembler.diagnostics import Diagnostic, SourceText
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import task
from assembler.linux.fragments import join_fragments, parse_fragment
from assembler.linux.kconfig import read_kconfig
from assembler.linux.option_check import unmet_options
from assembler.linux.toolchain_root import BUILD
from assembler.oci import host_platform

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.linux.toolchain_root import ToolchainRoot
    from assembler.oci import Platform

# A fragment that the source of the kernel itself has.
TREE_PREFIX = "tree:"
_SOURCE = "linux"
_ARCHIVE = re.compile(r"usr/src/linux-source-[\w.+~-]+\.tar\.xz")
_FOR_ARCHITECTURES = re.compile(r"(?P<word>[^\[\]]+?)(?:\s+\[(?P<only>[a-z0-9 ]+)\])?")
# The ids of commands are not those of this process.
_READABLE = 0o644
_ERROR = re.compile(r".*\b(?:error|Error)\b.*|make.*\*\*\*.*")
_MAX_ERRORS = 12


@dataclass(frozen=True, slots=True)
class KernelArchitecture:
    """The kernel's names of an architecture."""

    # The value of ARCH, and the folder in `arch/`.
    name: str
    folder: str
    # The prefix of a compiler on other machines.
    compiler: str
    # The targets of make, and the file in `arch/FOLDER/boot`, the first of those that are there.
    images: tuple[tuple[str, str], ...]


_ARCHITECTURES = {
    "amd64": KernelArchitecture("x86_64", "x86", "x86_64-linux-gnu-", (("bzImage", "bzImage"),)),
    "arm64": KernelArchitecture(
        "arm64", "arm64", "aarch64-linux-gnu-", (("vmlinuz.efi", "vmlinuz.efi"),)
    ),
    "riscv64": KernelArchitecture("riscv", "riscv", "riscv64-linux-gnu-", (("Image", "Image"),)),
}


@dataclass(frozen=True, slots=True)
class KernelTree:
    """The source of a kernel, unpacked in a toolchain's tree, for a platform."""

    root: ToolchainRoot
    platform: Platform
    # The time that the kernel says it was compiled at, in seconds since 1970.
    timestamp: int
    # The directory of the results, in that of builds.
    output_name: str = "out"

    @property
    def source(self) -> Path:
        """Return the directory of the source."""
        return self.root.build / _SOURCE

    @property
    def output(self) -> Path:
        """Return the directory of the results."""
        return self.root.build / self.output_name

    @property
    def architecture(self) -> KernelArchitecture:
        """Return the kernel's names of the architecture."""
        return _ARCHITECTURES[self.platform.architecture]

    def make(self, *words: str, reporter: Reporter, environment: dict[str, str]) -> None:
        """Run make of the kernel; raise its errors."""
        self._run(self.make_command(*words), environment, reporter)

    def make_command(self, *words: str) -> tuple[str, ...]:
        """Return the command line of make, in the toolchain's tree."""
        command = ["make", "-C", f"/{BUILD}/{_SOURCE}", f"O=/{BUILD}/{self.output_name}"]
        command.append(f"ARCH={self.architecture.name}")
        if self.platform.architecture != host_platform().architecture:
            command.append(f"CROSS_COMPILE={self.architecture.compiler}")
        # One job for pahole, which writes in the order in which its threads end.
        return (*command, "JOBS=1", *words)

    def environment(self) -> dict[str, str]:
        """Return the variables of a command."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.timestamp))
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/tmp",  # noqa: S108 - inside of the toolchain's tree
            "LC_ALL": "C",
            "TZ": "UTC",
            # The same bytes on every machine, whenever and by whomever.
            "KBUILD_BUILD_TIMESTAMP": moment,
            "KBUILD_BUILD_USER": "dolmen",
            "KBUILD_BUILD_HOST": "dolmen",
            "KBUILD_BUILD_VERSION": "1",
            "SOURCE_DATE_EPOCH": str(self.timestamp),
        }

    def unpack(self, archive: str, reporter: Reporter) -> None:
        """Unpack the archive of the source, a file in /build."""
        script = f"mkdir {_SOURCE} && exec tar -xf {archive} -C {_SOURCE} --strip-components=1"
        words = ("sh", "-c", f"cd /{BUILD} && {script} --no-same-owner")
        self._run(words, {}, reporter)

    def _run(
        self, command: tuple[str, ...], environment: dict[str, str], reporter: Reporter
    ) -> None:
        status, last = self.root.run(command, self.environment() | environment, reporter)
        if status:
            errors = [line for line in last if _ERROR.fullmatch(line)] or last
            shown = "\n".join(errors[:_MAX_ERRORS])
            raise PackageError.of(
                packages.KERNEL_BUILD_FAILED,
                f"{command[0]} ended with status {status}" + (f":\n{shown}" if shown else ""),
                "the log of the build has all messages",
            )


def open_kernel_tree(
    root: ToolchainRoot, package: Path, platform: Platform, timestamp: int, reporter: Reporter
) -> KernelTree:
    """Unpack the source in a Debian package linux-source-… into a toolchain's tree."""
    if platform.architecture not in _ARCHITECTURES:
        raise PackageError.of(
            packages.KERNEL_BUILD_FAILED,
            f"no kernel can be compiled for {platform}",
            f"there are {', '.join(_ARCHITECTURES)}",
        )
    tree = KernelTree(root, platform, timestamp)
    with task(reporter, "unpack the source of the kernel"), wrap_os_errors(root.build):
        archive = root.build / "source.tar.xz"
        if not copy_deb_file(package, lambda path: bool(_ARCHIVE.fullmatch(path)), archive):
            raise PackageError.of(
                packages.KERNEL_BUILD_FAILED, f"{package.name} has no source of a kernel"
            )
        archive.chmod(_READABLE)
        tree.unpack(archive.name, reporter)
        archive.unlink()
    return tree


def select_words(names: Sequence[str], platform: Platform) -> list[str]:
    """Return the words for a platform: one may be followed by architectures in brackets."""
    selected = []
    for name in names:
        match = _FOR_ARCHITECTURES.fullmatch(name)
        if match is None:
            raise PackageError.of(
                packages.BAD_RECIPE,
                f"not for architectures: {name!r}",
                "write what it is as config/base.config, or config/amd64.config [amd64]",
            )
        if match["only"] is None or platform.architecture in match["only"].split():
            selected.append(match["word"])
    return selected


def configure_kernel(
    tree: KernelTree, names: Sequence[str], directory: Path, reporter: Reporter
) -> None:
    """Write the .config that fragments ask for; raise an error with all options that are unmet.

    What no fragment asks for is off, unless it has no prompt. Fragments are relative to the
    directory, or to the source after `tree:`.
    """
    fragments = []
    for name in select_words(names, tree.platform):
        base = tree.source if name.startswith(TREE_PREFIX) else directory
        path = base / name.removeprefix(TREE_PREFIX)
        if not path.resolve().is_relative_to(base.resolve()) or not path.is_file():
            raise PackageError.of(packages.BAD_RECIPE, f"there is no fragment {name}")
        with wrap_os_errors(path, "read"):
            text = path.read_text("utf-8", "replace")
        fragments.append(parse_fragment(SourceText(name, text)))
    deciding = join_fragments(fragments)
    wanted = {name: fragment.values[name] for name, fragment in deciding.items()}
    lines = [
        f"# CONFIG_{name} is not set" if value == "n" else f"CONFIG_{name}={value}"
        for name, value in wanted.items()
    ]
    with task(reporter, "configure the kernel"):
        with wrap_os_errors(tree.root.build):
            wanted_path = tree.root.build / "wanted.config"
            wanted_path.write_text("\n".join(lines) + "\n")
            wanted_path.chmod(_READABLE)
        wanted_file = {"KCONFIG_ALLCONFIG": f"/{BUILD}/wanted.config"}
        tree.make("allnoconfig", reporter=reporter, environment=wanted_file)
        result = tree.output / ".config"
        with wrap_os_errors(result, "read"):
            found = parse_fragment(SourceText(str(result), result.read_text())).values
        differing = [n for n, v in wanted.items() if found.get(n, "n") != v]
        if not differing:
            return

        def read(path: str) -> str | None:
            file = tree.source / path
            return file.read_text("utf-8", "replace") if file.is_file() else None

        with wrap_os_errors(tree.source, "read"):
            options = read_kconfig(read, tree.architecture.folder)
        problems = [
            Diagnostic(
                packages.KERNEL_OPTION_UNMET,
                unmet.message,
                deciding[unmet.name].place_of(unmet.name),
            )
            for unmet in unmet_options(wanted, found, options)
        ]
        if problems:
            raise PackageError(problems)
