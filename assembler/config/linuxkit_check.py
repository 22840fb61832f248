"""The check for LinuxKit: what it refuses, ignores or reads differently in a valid file.

The schemas mark the keys that differ with `x-linuxkit`: LinuxKit does not know them (refused),
loses their values (lost), or takes only numbers (integer).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.catalog import CATALOG_PREFIX
from assembler.codes import config as codes
from assembler.config.composer import compose_input
from assembler.config.diagnostics import error, take_until_limit, warning
from assembler.config.schemas import load_schema, resolve_reference
from assembler.config.templates import GIT_PREFIX, OCI_PREFIX, PACKAGE_PREFIX
from assembler.diagnostics import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.config.composer import YamlDocument
    from assembler.config.inputs import ConfigInput
    from assembler.config.positions import Positions
    from assembler.diagnostics import Diagnostic

_CONTAINERS = ("onboot", "onshutdown", "services")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SURROGATES = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HINTS = {
    "blockIO": "write it as blockio",
    "debs": "a Dockerfile builds the package with both",
    "go": "a Dockerfile builds the package with both",
    "pageSize": "write the size in MB as a number",
    "containerID": "LinuxKit uses 0",
    "hostID": "LinuxKit uses 0",
}


def check_for_linuxkit(kind: str, inputs: Sequence[ConfigInput]) -> list[Diagnostic]:
    """Return what LinuxKit would not take of valid inputs, which are merged if they are images."""
    documents = [compose_input(given) for given in inputs]
    return [d for found in _checks(kind, documents) for d in take_until_limit(found)]


def _checks(kind: str, documents: Sequence[YamlDocument]) -> Iterator[Iterator[Diagnostic]]:
    for document in documents:
        yield _encoding(document)
        yield _marked_keys(kind, load_schema(kind), document.data, document.positions)
        if kind == "build":
            yield _build_arguments(document)
        else:
            yield _templates(document, document.data, document.positions)
            yield _sources(document)
    if kind == "image":
        yield _volumes(documents)


def _encoding(document: YamlDocument) -> Iterator[Diagnostic]:
    source = document.input.source
    if document.input.content.startswith(_UTF_16):
        yield error(
            codes.NOT_LINUXKIT, "LinuxKit does not read UTF-16", Place(source, 1, 1), "use UTF-8"
        )
    for found in _SURROGATES.finditer(source.text):
        before = source.text[: found.start()]
        place = Place(
            source,
            before.count("\n") + 1,
            found.start() - before.rfind("\n"),
            len(found.group()),
        )
        yield error(
            codes.NOT_LINUXKIT,
            f"LinuxKit does not read the surrogate pair {found.group()}",
            place,
            "write the character itself",
        )


def _marked_keys(
    kind: str,
    piece: dict[str, Any],
    data: Any,  # noqa: ANN401 - plain data
    positions: Positions,
) -> Iterator[Diagnostic]:
    piece = resolve_reference(kind, piece)
    if isinstance(data, list):
        for number, value in enumerate(data):
            yield from _marked_keys(kind, piece.get("items", {}), value, positions.lookup(number))
    elif isinstance(data, dict):
        for key, value in data.items():
            member = piece.get("properties", {}).get(key)
            if member is None:
                continue
            own = positions.lookup(key)
            mark = member.get("x-linuxkit", "")
            hint = _HINTS.get(key, "")
            if mark == "refused":
                message = f"LinuxKit does not know the key {key!r}"
                yield error(codes.NOT_LINUXKIT, message, own.key, hint)
                continue
            if mark == "lost":
                message = f"LinuxKit accepts {key!r}, but loses its value"
                yield warning(codes.LINUXKIT_DIFFERS, message, own.key, hint)
            elif mark == "integer" and not isinstance(value, int):
                message = f"LinuxKit accepts only a number as {key!r}"
                yield error(codes.NOT_LINUXKIT, message, own.place, hint)
            yield from _marked_keys(kind, member, value, own)


def _build_arguments(document: YamlDocument) -> Iterator[Diagnostic]:
    """Yield the references that only Dolmen knows."""
    arguments = _list(document.data, "buildArgs")
    for number, text in enumerate(arguments):
        value = text.partition("=")[2] if isinstance(text, str) else ""
        if value.startswith(CATALOG_PREFIX):
            place = document.positions.lookup("buildArgs", number).place
            message = "LinuxKit does not know @dolmen:"
            beside = value.startswith(("@dolmen:pkg:", "@dolmen:pkgs:"))
            hint = "write @lkt: with the same rest" if beside else "use the name of the image"
            yield error(codes.NOT_LINUXKIT, message, place, hint)


def _templates(
    document: YamlDocument,
    data: Any,  # noqa: ANN401 - plain data
    positions: Positions,
) -> Iterator[Diagnostic]:
    """Yield the texts with `@` that LinuxKit replaces otherwise."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _template(document, key, positions.lookup(key).key)
            yield from _templates(document, value, positions.lookup(key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _templates(document, value, positions.lookup(number))
    else:
        yield from _template(document, data, positions.place)


def _template(
    document: YamlDocument,
    text: Any,  # noqa: ANN401 - plain data
    place: Place | None,
) -> Iterator[Diagnostic]:
    if not isinstance(text, str) or not text.startswith("@"):
        return
    if text.startswith(CATALOG_PREFIX):
        message = "LinuxKit does not know @dolmen:"
        yield error(codes.NOT_LINUXKIT, message, place, "use the name of the image")
    elif text.startswith((GIT_PREFIX, OCI_PREFIX)):
        message = f"LinuxKit does not know {text[:5]}"
        hint = "clone the repository, and write @pkg: with the directory"
        yield error(codes.NOT_LINUXKIT, message, place, hint)
    elif not text.startswith(PACKAGE_PREFIX):
        message = "LinuxKit makes an empty text of this: it begins with @"
        yield warning(codes.LINUXKIT_DIFFERS, message, place)
    elif document.input.name == "<stdin>" or document.input.url:
        message = "LinuxKit replaces @pkg: only in local files"
        yield error(codes.NOT_LINUXKIT, message, place, "use the name of the image")


def _sources(document: YamlDocument) -> Iterator[Diagnostic]:
    """Yield the sources that LinuxKit looks for elsewhere: in the current directory."""
    for number, file in enumerate(_list(document.data, "files")):
        source = file.get("source") if isinstance(file, dict) else None
        if not isinstance(source, str) or source.startswith(("/", "~/", "@")):
            continue
        if document.input.url or not Path(source).exists():
            yield warning(
                codes.LINUXKIT_DIFFERS,
                "LinuxKit looks for this file in the current directory, and does not find it",
                document.positions.lookup("files", number, "source").place,
                "run LinuxKit in the directory of the YAML file",
            )


def _volumes(documents: Sequence[YamlDocument]) -> Iterator[Diagnostic]:
    """Yield the uses of volumes that LinuxKit does not know, or does not understand."""
    volumes: dict[str, dict[str, Any]] = {}
    for document in documents:
        for volume in _list(document.data, "volumes"):
            if isinstance(volume, dict) and isinstance(volume.get("name"), str):
                volumes[volume["name"]] = volume
    last = _list(documents[-1].data, "volumes") if documents else []
    kept = {volume.get("name") for volume in last if isinstance(volume, dict)}
    for document in documents:
        for text, place in _binds(document):
            source, _, rest = text.partition(":")
            options = rest.partition(":")[2]
            if source not in volumes:
                continue
            if source not in kept:
                yield error(
                    codes.NOT_LINUXKIT,
                    f"LinuxKit does not know the volume {source!r}: it is not in the last file",
                    place,
                    "put the volumes into the last file",
                )
            elif volumes[source].get("readonly") is True and options != "ro":
                message = "LinuxKit binds a read-only volume only with exactly `ro`"
                hint = f"write {text.rpartition(':')[0]}:ro"
                yield error(codes.NOT_LINUXKIT, message, place, hint)
        for source, place in _mounted_sources(document):
            if source in volumes:
                message = f"LinuxKit does not replace the volume {source!r} in mounts by its path"
                yield warning(codes.LINUXKIT_DIFFERS, message, place, "use binds")


def _containers(document: YamlDocument) -> Iterator[tuple[dict[str, Any], Positions]]:
    for section in _CONTAINERS:
        for number, container in enumerate(_list(document.data, section)):
            if isinstance(container, dict):
                yield container, document.positions.lookup(section, number)


def _binds(document: YamlDocument) -> Iterator[tuple[str, Place | None]]:
    for container, positions in _containers(document):
        for key in ("binds", "binds.add"):
            for number, text in enumerate(_list(container, key)):
                if isinstance(text, str):
                    yield text, positions.lookup(key, number).place


def _mounted_sources(document: YamlDocument) -> Iterator[tuple[str, Place | None]]:
    for container, positions in _containers(document):
        for number, mount in enumerate(_list(container, "mounts")):
            if isinstance(mount, dict) and mount.get("type") == "bind":
                yield str(mount.get("source")), positions.lookup("mounts", number, "source").place


def _list(data: Any, key: str) -> list[Any]:  # noqa: ANN401 - plain data
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, list) else []
