"""Check or change the options of kernels without a compilation: the targets of the Makefile."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from assembler.debian import open_archive_engine
from assembler.debian.package_files import read_package_files
from assembler.debian.recipe_build import recipe_request
from assembler.diagnostics import SourceText, render
from assembler.dockerfile import open_workspace, read_package_context
from assembler.errors import DolmenError
from assembler.events import NullReporter
from assembler.linux import (
    KernelTree,
    configure_kernel,
    open_kernel_tree,
    parse_fragment,
    unpack_toolchain,
)
from assembler.oci import Platform, host_platform, resolve_images
from assembler.packages.build_arguments import toolchain_reference
from assembler.packages.options import PackageBuildOptions
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import Package
    from assembler.oci import Store

HERE = Path(__file__).parent
USAGE = "usage: configure.py check [ARCH] | config KERNEL [ARCH] | menuconfig KERNEL [ARCH]"


def kernels() -> Iterator[Package]:
    """Yield the packages of kernels that are compiled from source."""
    for file in sorted(HERE.glob("*/build.yml")):
        package = read_package(file.parent)
        if package.build.linux is not None:
            yield package


class Configurator:
    """The source of the kernels, unpacked once."""

    def __init__(self, store: Store, workspace: Path) -> None:
        self.store, self.workspace = store, workspace
        self.options = PackageBuildOptions()
        self.trees: dict[str, KernelTree] = {}

    def tree(self, package: Package, platform: Platform) -> KernelTree:
        """Return the source of a package's kernel, with a directory for these results."""
        assert package.build.debs is not None
        (source,) = (p for p in package.build.debs.packages if p.startswith("linux-source-"))
        if source not in self.trees:
            self.trees[source] = self._unpack(package, source)
        name = f"{package.directory.name}-{platform.architecture}"
        return replace(self.trees[source], platform=platform, output_name=name)

    def _unpack(self, package: Package, source: str) -> KernelTree:
        linux, debs = package.build.linux, package.build.debs
        assert linux is not None
        assert debs is not None
        command = [sys.executable, "-m", "dolmen", "pkg", "build", linux.toolchain]
        here = host_platform()
        subprocess.run([*command, "--platforms", str(here)], check=True, stdout=subprocess.DEVNULL)
        reference = toolchain_reference(package, linux, Naming())
        found = resolve_images({reference: None}, here, self.options.sources, NullReporter())
        root = unpack_toolchain(self.store, found[reference], self.workspace / f"root-{source}")
        engine = open_archive_engine(self.store, self.options.debian, NullReporter())
        request = replace(recipe_request(debs, here.architecture), packages=(source,))
        pinned = [p for p in engine.resolve(request) if p.name == source]
        (file,) = engine.fetch(debs.suite, pinned)
        time = read_package_files([file])[0].timestamp
        return open_kernel_tree(root, file, here, time, NullReporter())

    def configure(self, package: Package, platform: Platform) -> KernelTree:
        """Configure a kernel, and return its tree; an option that is unmet is an error."""
        assert package.build.linux is not None
        tree = self.tree(package, platform)
        with TemporaryDirectory(dir=self.workspace) as fragments:
            directory = Path(fragments)
            read_package_context(package, 0, package.build.dockerfile).write(directory)
            configure_kernel(tree, package.build.linux.config, directory, NullReporter())
        return tree


def check(configurator: Configurator, architecture: str) -> int:
    """Check all kernels; return the exit code."""
    failed = 0
    for package in kernels():
        for name in package.build.arches:
            if architecture not in ("", name):
                continue
            try:
                configurator.configure(package, Platform.parse(name))
                print(f"{package.directory.name} for {name}: all options are met")
            except DolmenError as error:
                failed = 1
                print(f"{package.directory.name} for {name}:")
                print("".join(render(d) for d in error.diagnostics), end="")
    return failed


def change(tree: KernelTree) -> None:
    """Run menuconfig, and print the options that were changed."""
    file = tree.output / ".config"
    before = parse_fragment(SourceText("before", file.read_text())).values
    command = tree.root.command(tree.make_command("menuconfig"))
    environment = {"TERM": "linux", **tree.environment()}
    subprocess.run(command, env=environment, check=True)
    after = parse_fragment(SourceText("after", file.read_text())).values
    for name in sorted(before.keys() | after.keys()):
        value = after.get(name, "n")
        if value != before.get(name, "n"):
            line = f"# CONFIG_{name} is not set" if value == "n" else f"CONFIG_{name}={value}"
            print(line)


def main(action: str = "", *words: str) -> int:
    """Do what the command line says."""
    if action not in ("check", "config", "menuconfig") or (action != "check" and not words):
        print(USAGE, file=sys.stderr)
        return 2
    store = PackageBuildOptions().sources.open_store()
    with open_workspace(store) as workspace:
        configurator = Configurator(store, workspace)
        if action == "check":
            return check(configurator, "".join(words))
        platform = Platform.parse(words[1]) if words[1:] else host_platform()
        tree = configurator.configure(read_package(HERE / words[0]), platform)
        if action == "menuconfig":
            change(tree)
            return 0
        target = HERE / f"{words[0]}.{platform.architecture}.config"
        target.write_bytes((tree.output / ".config").read_bytes())
        print(target)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except DolmenError as error:
        sys.exit(str(error))
