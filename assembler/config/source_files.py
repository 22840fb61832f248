"""The files that `source:` names, relative to their YAML file: local, or fetched from its URL."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.codes import config as codes
from assembler.config.diagnostics import error, warning
from assembler.config.model import SECCOMP_WORDS, RootfsFile
from assembler.config.positions import Positions
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from assembler.config.inputs import ConfigInput
    from assembler.config.model import Config, Container
    from assembler.config.remote_sources import RemoteSources
    from assembler.diagnostics import Diagnostic


_SECTIONS = ("onboot", "onshutdown", "services")


def locate_sources(
    config: Config, given: ConfigInput, *, allow_local: bool
) -> tuple[Config, list[Diagnostic]]:
    """Set path or content of the sources of one YAML file, and the profiles of its containers.

    With `allow_local`, a YAML file from a URL may name local files by absolute paths and `~/`.
    """
    locator = _Locator(given, allow_local=allow_local)
    files = tuple(locator.locate(file) if file.source else file for file in config.files)
    sections: dict[str, Any] = {
        section: tuple(locator.with_profile(c) for c in getattr(config, section))
        for section in _SECTIONS
    }
    return replace(config, files=files, **sections), locator.diagnostics


class _Locator:
    """Locates the sources of one YAML file."""

    def __init__(self, given: ConfigInput, *, allow_local: bool) -> None:
        self._given = given
        self._allow_local = allow_local
        self._remote: RemoteSources | None = None
        self.diagnostics: list[Diagnostic] = []

    def locate(self, file: RootfsFile) -> RootfsFile:
        """Return the file with the path or the content of its source."""
        given, source = self._given, file.source or ""
        is_local = source.startswith(("/", "~/"))
        if given.directory is not None or (is_local and self._allow_local):
            return _locate(file, given.directory or Path(), self.diagnostics)
        if is_local:
            self.diagnostics.append(_local_source(file, given.name))
            return file
        if self._remote is None:
            from assembler.config.remote_sources import RemoteSources  # noqa: PLC0415 - requests

            self._remote = RemoteSources(given.url or given.name)
        return self._remote.fetch(file, self.diagnostics)

    def with_profile(self, container: Container) -> Container:
        """Return the container with the content of the profile that it names."""
        name = container.seccomp
        if not name or name in SECCOMP_WORDS:
            return container
        from assembler.config.seccomp_files import parse_profile  # noqa: PLC0415 - few files need it

        # A profile is found like the source of a file.
        place = container.positions.lookup("seccomp")
        file = self.locate(RootfsFile(source=name, positions=Positions(children={"source": place})))
        content = file.source_content
        if file.source_path is not None:
            try:
                content = file.source_path.read_bytes()
            except OSError as failure:
                message = f"the profile {file.source_path} cannot be read: {failure.strerror}"
                self.diagnostics.append(error(codes.SOURCE_NOT_FOUND, message, place.place))
        if content is None:
            return container
        shown = str(file.source_path or file.source_url)
        return replace(
            container,
            seccomp_profile=parse_profile(content, shown, self.diagnostics),
            seccomp_candidates=file.source_candidates,
        )


def _local_source(file: RootfsFile, url: str) -> Diagnostic:
    return error(
        codes.LOCAL_SOURCE,
        f"{file.source} is a file of this machine, which a YAML file from a URL may not read",
        file.positions.place_of("source"),
        f"a source is relative to {url}; if you trust this YAML file: --allow-local-sources",
    )


def _locate(file: RootfsFile, directory: Path, diagnostics: list[Diagnostic]) -> RootfsFile:
    name = file.source or ""
    place = file.positions.place_of("source")
    preferred = _resolve(directory, name)
    file = replace(file, source_candidates=(preferred, _resolve(Path(), name)))
    if os.path.lexists(preferred):
        path = preferred
    else:
        fallback = _resolve(Path(), name)
        if fallback == preferred or not os.path.lexists(fallback):
            if not file.optional:
                diagnostics.append(_missing(file, preferred))
            return file
        path = fallback
        diagnostics.append(
            warning(
                codes.SOURCE_IN_CURRENT_DIRECTORY,
                f"there is no {preferred}; {name} in the current directory is used",
                place,
                "a source is relative to its YAML file: move the file there, or change the path",
            )
        )
    problem = _problem_with(path)
    if problem:
        diagnostics.append(
            error(
                codes.SOURCE_NOT_FOUND,
                f"the source {path} {problem}",
                place,
                "a source must be a regular file" if path.is_dir() else "",
            )
        )
        return file
    return replace(file, source_path=path)


def _resolve(directory: Path, name: str) -> Path:
    path = Path(name)
    if name.startswith("~/"):
        home = os.environ.get("HOME")
        return Path(home, name[2:]) if home else path.expanduser()
    return directory / path


def _problem_with(path: Path) -> str:
    try:
        if path.is_dir():
            return "is a directory"
        if not path.exists():
            return "is a dangling symbolic link"
        if not path.is_file():
            return "is not a regular file"
        return "" if os.access(path, os.R_OK) else "cannot be read: permission denied"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _missing(file: RootfsFile, path: Path) -> Diagnostic:
    # An entry without a path is the profile of a container.
    words = SECCOMP_WORDS if file.path is None else ()
    try:
        names = [p.name for p in path.parent.iterdir()]
    except OSError:
        names = []
    return error(
        codes.SOURCE_NOT_FOUND,
        f"there is no file {path}",
        file.positions.place_of("source"),
        did_you_mean(path.name, [*words, *names])
        or ("" if words else "`optional: true` allows a missing source"),
    )
