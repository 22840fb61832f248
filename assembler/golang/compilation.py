"""The compilation of Go programs for a platform: the same bytes on every machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.diagnostics import Diagnostic, Place, SourceText
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import task
from assembler.golang.toolchain import toolchain, toolchains_directory
from assembler.oci import Platform, host_platform, resolve_images
from assembler.tools import ProcessLimits, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from assembler.config import GoPrograms
    from assembler.events import Reporter
    from assembler.oci import ImageSources, Reference, Store

_LIMITS = ProcessLimits(seconds=3600.0, output=64 << 20)
_MAX_PROBLEMS = 20
_MAX_SOURCE = 4 << 20
_ABSOLUTE_REPLACEMENT = re.compile(r"=>\s*[\"`]?(?P<path>/[^\s\"`]*)")
_PROBLEM = re.compile(
    r"(?P<file>[^\s:]+\.go|go\.mod):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<text>.+)"
)
# The variables with which Go chooses the instructions of a variant of an architecture.
_VARIANTS = {"arm": "GOARM", "amd64": "GOAMD64", "arm64": "GOARM64", "riscv64": "GORISCV64"}


@dataclass(frozen=True, slots=True)
class GoBuild:
    """The programs to compile, and their module."""

    programs: GoPrograms
    # A directory with the module, and the one that users know it by.
    module: Path
    directory: Path
    toolchain: Reference
    platform: Platform
    network: bool = False


def compile_programs(
    store: Store, build: GoBuild, sources: ImageSources, reporter: Reporter, output: Path
) -> Mapping[str, Path]:
    """Compile the programs into `output`; return their files by their paths in the image."""
    host = host_platform()
    image = resolve_images({build.toolchain: None}, host, sources, reporter)[build.toolchain]
    _check_replacements(build)
    compiled = {}
    with toolchain(store, image, reporter, sources.layer_limits()) as goroot:
        environment = _environment(store, build, goroot, output)
        for number, (path, package) in enumerate(sorted(build.programs.programs.items())):
            target = output / f"program-{number}"
            with task(reporter, f"compile /{path} for {build.platform}"):
                _compile(build, goroot, package, target, environment)
            compiled[path] = target
    return compiled


def _environment(store: Store, build: GoBuild, goroot: Path, output: Path) -> dict[str, str]:
    cache = toolchains_directory(store) / "cache"
    scratch, home = output / "tmp", output / "home"
    for folder in (cache, scratch, home):
        with wrap_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    architecture, variant = build.platform.architecture, build.platform.variant
    environment = {
        "GOROOT": str(goroot),
        "GOOS": build.platform.os,
        "GOARCH": architecture,
        "CGO_ENABLED": "0",
        # Modules that can be removed again.
        "GOFLAGS": "-trimpath -buildvcs=false -modcacherw",
        "GOCACHE": str(cache / "build"),
        "GOMODCACHE": str(cache / "modules"),
        "GOENV": "off",
        "GOWORK": "off",
        "GOTELEMETRY": "off",
        # No other Go than this one, and no download of modules unless build.yml allows it.
        "GOTOOLCHAIN": "local",
        "HOME": str(home),
        "PATH": str(goroot / "bin"),
        "TMPDIR": str(scratch),
        "LC_ALL": "C.UTF-8",
    }
    if not build.network:
        environment["GOPROXY"] = "off"
    if variant and architecture in _VARIANTS:
        environment[_VARIANTS[architecture]] = (
            variant.removeprefix("v") if architecture == "arm" else variant
        )
    return environment


def _compile(
    build: GoBuild, goroot: Path, package: str, target: Path, environment: Mapping[str, str]
) -> None:
    ldflags = " ".join(build.programs.ldflags)
    command = [str(goroot / "bin/go"), "build", f"-ldflags={ldflags}", "-o", str(target), package]
    result = run_program(
        command, environment, limits=_LIMITS, directory=build.module, writes=(target.parent,)
    )
    if result.status == 0 and target.is_file():
        return
    problems = list(_problems(result.errors, build))
    if not problems:
        lines = result.errors.strip() or f"go ended with status {result.status}"
        what = "is not a program (package main)" if result.status == 0 else f"failed:\n{lines}"
        problems = [
            Diagnostic(packages.GO_BUILD_FAILED, f"go build {package} {what}", None, _hints(lines))
        ]
    raise PackageError(problems)


def _hints(text: str) -> tuple[str, ...]:
    if "module lookup disabled" in text or "GOPROXY=off" in text:
        vendor = "commit the modules (`go mod vendor`)"
        return (f"{vendor}, or allow downloads with `network: true` in build.yml",)
    if "replacement directory" in text:
        return ("`extra-sources` of build.yml adds directories outside of the package",)
    return ()


def _check_replacements(build: GoBuild) -> None:
    """Refuse modules at absolute paths of this machine: the package's hash does not cover them."""
    source = SourceText(str(build.directory / "go.mod"), _read_source(build.module / "go.mod"))
    for number, line in enumerate(source.text.splitlines(), 1):
        match = _ABSOLUTE_REPLACEMENT.search(line.partition("//")[0])
        if match:
            place = Place(source, number, match.start("path") + 1, len(match["path"]))
            raise PackageError.of(
                packages.GO_BUILD_FAILED,
                f"{match['path']} is not inside the package",
                "add the directory with `extra-sources` of build.yml, and use a relative path",
                place=place,
            )


def _read_source(path: Path) -> str:
    """Return a source for excerpts; empty if it is missing or too large."""
    try:
        return path.read_text("utf-8", "replace") if path.stat().st_size <= _MAX_SOURCE else ""
    except OSError:
        return ""


def _problems(text: str, build: GoBuild) -> Iterator[Diagnostic]:
    """Yield the compiler's messages with their places."""
    found = 0
    for line in text.splitlines():
        match = _PROBLEM.fullmatch(line.strip())
        if match is None or found == _MAX_PROBLEMS:
            continue
        found += 1
        source = SourceText(
            str(build.directory / match["file"]), _read_source(build.module / match["file"])
        )
        place = Place(source, int(match["line"]), int(match["column"] or 1))
        yield Diagnostic(packages.GO_BUILD_FAILED, match["text"], place, _hints(match["text"]))
