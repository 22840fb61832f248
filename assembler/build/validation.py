"""Checking YAML files without building anything: every mistake, as diagnostics."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import DolmenError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.config import ConfigInput

_BUILD_FILES = ("build.yml", "build.yaml")


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What is wrong with files, and what is doubtful."""

    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def errors(self) -> int:
        """Return the number of errors; warnings do not count."""
        return sum(d.severity is Severity.ERROR for d in self.diagnostics)

    @property
    def valid(self) -> bool:
        """Tell whether there is no error."""
        return not self.errors

    def as_json(self) -> dict[str, Any]:
        """Return the result for scripts."""
        return {
            "valid": self.valid,
            "errors": self.errors,
            "warnings": len(self.diagnostics) - self.errors,
            "diagnostics": [d.as_json() for d in self.diagnostics],
        }


def validate(
    files: str | Path | Sequence[str | Path],
    *,
    schema: str = "auto",
    allow_local_sources: bool = False,
    linuxkit: bool = False,
    store: Path | None = None,
) -> ValidationResult:
    """Check files that belong together; several are merged in order.

    `schema` is image, build, or auto: then files named build.yml are checked as packages. With
    `allow_local_sources`, YAML files from URLs may name files of this machine. With `linuxkit`, the
    result also has what LinuxKit would not take. Repositories of `@git:` are not fetched: their
    packages are checked if the store has them. Nothing is raised for what is wrong with the files:
    it is in the result.
    """
    several_files = [files] if isinstance(files, str | Path) else files
    names = tuple(map(str, several_files))
    is_package = all(Path(name).name in _BUILD_FILES for name in names)
    is_build = schema == "build" or (schema == "auto" and is_package)
    try:
        if linuxkit and len(set(names)) == len(names):
            return _check_for_linuxkit(names, is_build, store, allow_local=allow_local_sources)
        if is_build:
            return ValidationResult(tuple(d for name in names for d in _package(name)))
        return ValidationResult(_image(names, store, allow_local=allow_local_sources))
    except DolmenError as error:
        return ValidationResult(error.diagnostics)


def _check_for_linuxkit(
    names: Sequence[str],
    is_build: bool,  # noqa: FBT001
    store: Path | None,
    *,
    allow_local: bool,
) -> ValidationResult:
    """Check files that are read once; standard input cannot be read again."""
    from assembler.config import check_for_linuxkit, read_input  # noqa: PLC0415 - heavy

    inputs = [read_input(name) for name in names]
    found: list[Diagnostic] = []
    try:
        if is_build:
            found += [d for given in inputs for d in _package(given)]
        else:
            found += _image(inputs, store, allow_local=allow_local)
    except DolmenError as error:
        found += error.diagnostics
    with suppress(DolmenError):  # no YAML: that is found already
        found += check_for_linuxkit("build" if is_build else "image", inputs)
    return ValidationResult(tuple(found))


def _image(
    inputs: Sequence[str] | Sequence[ConfigInput], store: Path | None, *, allow_local: bool
) -> tuple[Diagnostic, ...]:
    from assembler.build.local_references import LocalReferences, unfetched_references  # noqa: PLC0415 - heavy
    from assembler.config import LoadOptions, load_config, load_config_inputs  # noqa: PLC0415
    from assembler.oci import ImageSources, Reference  # noqa: PLC0415

    sources = ImageSources() if store is None else ImageSources(store=store)
    options = LoadOptions(
        packages=LocalReferences(lambda: unfetched_references(sources)),
        check_reference=Reference.parse,
        allow_local_sources=allow_local,
    )
    names = [given for given in inputs if isinstance(given, str)]
    if names:
        return load_config(names, options).warnings
    return load_config_inputs([i for i in inputs if not isinstance(i, str)], options).warnings


def _package(name: str | ConfigInput) -> tuple[Diagnostic, ...]:
    from assembler.config import read_build_file  # noqa: PLC0415 - heavy
    from assembler.packages import parse_build_file  # noqa: PLC0415

    document = read_build_file(name)
    parse_build_file(document)
    return document.warnings
