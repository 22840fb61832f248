"""Write a package for the program in a directory, and a YAML file that runs it as a service."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages as codes
from assembler.errors import DolmenError
from assembler.packages import package_names
from assembler.scaffold.editor_schema import schema_reference, write_editor_schema
from assembler.scaffold.new_file import write_files
from assembler.scaffold.program_detection import detect_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.scaffold.program import Program

_TEMPLATE = Path(__file__).resolve().parent / "service_package.yml"
_ORG = "local"
_FIRST_FREE_PORT = 1024
_HOST_PORT = 8080
_PLAIN = re.compile(r"[A-Za-z/._][A-Za-z0-9/._+-]*")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True, slots=True)
class NewService:
    """The files that were written, and the command that runs the program."""

    program: Program
    paths: tuple[Path, ...]
    run_command: tuple[str, ...]
    # The directory, if git has to know it before it is built.
    to_commit: Path | None = None


def write_service(directory: Path, file: Path, *, replace: bool = False) -> NewService:
    """Write the build.yml of a directory, and an image.yml; existing ones only with `replace`."""
    name = _service_name(directory)
    program = detect_program(directory, name)
    command = ("dolmen", "run", "qemu", str(file), *_publish(program))
    values = {
        "{schema}": schema_reference("image", file.parent),
        "{title}": program.description[0].upper() + program.description[1:],
        "{run}": shlex.join(("dolmen", "run", "qemu", file.name, *_publish(program))),
        "{name}": name,
        "{image}": json.dumps(f"@pkg:{_relative(directory, file.parent)}", ensure_ascii=False),
    }
    text = _TEMPLATE.read_text("utf-8")
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    schema = schema_reference("build", directory, file.parent)
    build = "\n".join(_build_lines(program, name, schema)) + "\n"
    texts = {directory / "build.yml": build, file: text}
    write_files(texts, replace=replace)
    for kind in ("image", "build"):
        write_editor_schema(kind, file.parent)
    to_commit = directory if _is_uncommitted(directory) else None
    return NewService(program, tuple(texts), command, to_commit)


def _is_uncommitted(directory: Path) -> bool:
    """Tell whether a package is in a repository with commits that do not have it."""
    try:
        package_names(directory)
    except DolmenError as error:
        return any(found.code is codes.NOT_COMMITTED for found in error.diagnostics)
    return False


def _service_name(directory: Path) -> str:
    """Return the name of a directory as that of an image and a container."""
    name = re.sub(r"[^a-z0-9]+", "-", directory.resolve().name.lower()).strip("-")
    return name or "service"


def _relative(directory: Path, base: Path) -> str:
    path = os.path.relpath(directory.resolve(), base.resolve())
    return path if path.startswith(".") else f"./{path}"


def _publish(program: Program) -> tuple[str, ...]:
    if not program.port:
        return ()
    host = _HOST_PORT if program.port < _FIRST_FREE_PORT else program.port
    return ("--publish", f"{host}:{program.port}")


def _build_lines(program: Program, name: str, schema: str) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={schema}"
    yield "#"
    yield f"# A package with {program.description}."
    yield "# An image.yml names it as `@pkg:DIRECTORY`; `dolmen build` builds it if it has changed."
    yield f"image: {_scalar(name)}"
    yield f"org: {_ORG}"
    yield f"arches: {_flow(program.arches)}"
    yield ""
    if program.go_programs:
        yield from _go_lines(program)
    if not program.has_dockerfile:
        yield from _recipe_lines(program, name)
    yield "# Settings of the container, with the keys of image.yml."
    yield "config:"
    yield "  # The network of the system."
    yield "  net: host"
    yield "  # Rights beyond those of an ordinary process."
    low = 0 < program.port < _FIRST_FREE_PORT
    yield f"  capabilities: {_flow(['CAP_NET_BIND_SERVICE'] if low else [])}"
    yield '  tmpfs: ["/tmp:mode=1777,nosuid,nodev"]'
    yield '  binds: ["/etc/resolv.conf:/etc/resolv.conf:ro"]'


def _go_lines(program: Program) -> Iterator[str]:
    yield "go:"
    yield "  # Debian's Go, a package that comes with Dolmen."
    yield '  toolchain: "@dolmen:toolchain-go"'
    yield "  # Paths in the image, and directories with a package main."
    yield "  programs:"
    for path, folder in program.go_programs.items():
        yield f"    {_scalar(path)}: {_scalar(folder)}"
    yield ""
    if program.network:
        yield "# Go may download the modules of go.mod; a directory vendor/ needs no network."
        yield "network: true"
        yield ""


def _recipe_lines(program: Program, name: str) -> Iterator[str]:
    yield "debs:"
    yield "  suite: trixie"
    yield "  # Debian packages; those that they depend on are added."
    yield f"  packages: {_flow(program.debian_packages)}"
    if program.debian_packages:
        yield "  drop: [/usr/share/man/**, /usr/share/doc/**, /usr/share/locale/**]"
    if program.links:
        pairs = ", ".join(f"{_scalar(k)}: {_scalar(v)}" for k, v in program.links.items())
        yield f"  links: {{{pairs}}}"
    if program.sources:
        yield "  # Files and directories of this directory; add new ones here."
        yield "  files:"
        for source in program.sources:
            path = _scalar(f"/opt/{name}/{source}")
            yield f"    - {{path: {path}, source: {_scalar(source)}}}"
        yield f"  workdir: /opt/{name}"
    yield f"  command: {_flow(program.command)}"
    yield ""


def _flow(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, values))}]"


def _scalar(text: str) -> str:
    """Return a text as YAML, in quotes if it could be read as anything else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and text != ".":
        return text
    return json.dumps(text, ensure_ascii=False)
