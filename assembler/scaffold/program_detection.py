"""Detect the program in a directory: its language, how it starts, what it needs."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.errors import UsageError
from assembler.scaffold.elf import describe_elf
from assembler.scaffold.program import Program, ProgramDirectory
from assembler.scaffold.scripts import detect_node, detect_python, detect_script

if TYPE_CHECKING:
    from pathlib import Path

_GO_ARCHES = ("amd64", "arm64", "riscv64")
_MAIN = re.compile(r"^package main\b", re.MULTILINE)
_GO_MODULE = re.compile(r"^(?:require\s+)?\s*[\w./~-]+\.[\w./~-]+ v\d", re.MULTILINE)
_GO_PORTS = (
    r"ListenAndServe(?:TLS)?\(\s*\"[^\"]*:(\d+)\"",
    r"Listen(?:Packet)?\(\s*\"\w+\",\s*\"[^\"]*:(\d+)\"",
    r"Addr:\s*\"[^\"]*:(\d+)\"",
)
_EXPOSE = r"(?im)^\s*EXPOSE\s+(\d+)"


def detect_program(path: Path, name: str) -> Program:
    """Return the program in a directory; `name` is that of the service."""
    if not path.is_dir():
        raise UsageError.of(
            usage.BAD_OPTION, f"there is no directory {path}", "name the directory of a program"
        )
    directory = ProgramDirectory(path, name)
    kinds = (
        _detect_go,
        _detect_dockerfile,
        detect_node,
        detect_python,
        _detect_compiled,
        detect_script,
    )
    for detect in kinds:
        program = detect(directory)
        if program is not None:
            return program
    raise UsageError.of(
        usage.BAD_OPTION, f"{path} has no program that is known", *_hints(directory)
    )


def _hints(directory: ProgramDirectory) -> tuple[str, ...]:
    known = (
        "known are go.mod, Dockerfile, package.json, *.py, a compiled program, and a script that "
        "can be executed or is named *.sh"
    )
    hints = [known]
    if directory.has("Cargo.toml"):
        hints.append("compile the Rust program, and name the directory of the result")
    candidates = [*directory.files(".py"), *directory.files(".sh")]
    if len(candidates) > 1:
        hints.append(f"name one of {', '.join(candidates[:5])} main, run or {directory.name}")
    return tuple(hints)


def _detect_go(directory: ProgramDirectory) -> Program | None:
    if not directory.has("go.mod"):
        return None
    mains: dict[str, str] = {}
    for folder in (".", *_go_folders(directory.path)):
        if _has_main(directory.path / folder):
            name = directory.name if folder == "." else os.path.basename(folder)  # noqa: PTH119 - text
            mains.setdefault(f"/usr/bin/{name}", folder)
    if not mains:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"the Go module in {directory.path} has no program",
            "a program is a package main in the directory itself or in cmd/NAME",
        )
    own = f"/usr/bin/{directory.name}"
    command = own if own in mains else next(iter(mains))
    missing = []
    if len(mains) > 1 and own not in mains:
        missing.append(f"which of {', '.join(mains)} is the service; {command} is the command")
    needs_modules = bool(_GO_MODULE.search(directory.text("go.mod")))
    return Program(
        f"a Go module (go.mod) with {'programs' if len(mains) > 1 else 'the program'} "
        + ", ".join("main" if folder == "." else folder for folder in mains.values()),
        (command,),
        arches=_GO_ARCHES,
        go_programs=mains,
        network=needs_modules and not (directory.path / "vendor").is_dir(),
        port=directory.find_port(".go", *_GO_PORTS),
        missing=tuple(missing),
    )


def _go_folders(path: Path) -> list[str]:
    return sorted({f"./cmd/{child.parent.name}" for child in path.glob("cmd/*/*.go")})


def _has_main(folder: Path) -> bool:
    return any(
        _MAIN.search(file.read_text("utf-8", "replace"))
        for file in sorted(folder.glob("*.go"))
        if not file.name.endswith("_test.go")
    )


def _detect_dockerfile(directory: ProgramDirectory) -> Program | None:
    if not directory.has("Dockerfile"):
        return None
    return Program(
        "a Dockerfile",
        has_dockerfile=True,
        port=directory.find_port("Dockerfile", _EXPOSE),
    )


def _detect_compiled(directory: ProgramDirectory) -> Program | None:
    """Return the compiled program; one that is linked dynamically gets libc."""
    found = {}
    for name in directory.names:
        elf = describe_elf(directory.path / name)
        if elf is not None and elf.is_program:
            found[name] = elf
    name = directory.preferred(found)
    if not name:
        return None
    elf = found[name]
    missing = () if elf.is_static else ("libraries that it needs besides those of libc6",)
    return Program(
        f"a compiled program ({name}), linked {'statically' if elf.is_static else 'dynamically'}, "
        f"for {elf.architecture}",
        (f"/opt/{directory.name}/{name}",),
        () if elf.is_static else ("libc6",),
        (elf.architecture,),
        sources=directory.names,
        missing=missing,
    )
