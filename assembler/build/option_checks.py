"""Options that contradict each other or make no sense, found before any file is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.diagnostics import Diagnostic
from assembler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.build.options import BuildOptions
    from assembler.formats import Format

# Their archive is a single stream.
_ONLY_FORMATS = ("tar", "docker")


def check_options(files: Sequence[str], options: BuildOptions) -> None:
    """Raise UsageError with everything that is wrong with the options."""
    problems = [
        Diagnostic(usage.BAD_OPTION, message, None, (hint,))
        for message, hint in _problems(files, options)
    ]
    if problems:
        raise UsageError(problems)


def _problems(files: Sequence[str], options: BuildOptions) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, and what would be right."""
    sources = options.sources
    if not files:
        yield "no YAML file was given", "dolmen build image.yml"
    yield from _problems_of_output(options)
    if options.sbom is not None and not options.sbom.path:
        yield "--sbom-output: the file needs a name", "--no-sbom leaves the SPDX document out"
    if options.input_tar is not None and sources.pull:
        yield "--input-tar and --pull contradict each other", "leave one out"
    if options.input_tar is not None and not options.input_tar.is_file():
        yield f"--input-tar: {options.input_tar} not found", "leave it out: see --help"
    if (options.secure_boot_key is None) != (options.secure_boot_certificate is None):
        yield (
            "--secure-boot-key and --secure-boot-cert go together",
            "`dolmen keys generate DIR` makes both: DIR/db.key, DIR/db.crt",
        )
    if options.keys is not None and options.secure_boot_key is not None:
        yield "--keys and --secure-boot-key contradict each other", "--keys DIR has db.key, too"
    if options.keys is not None and not options.keys.is_dir():
        yield f"--keys: there is no directory {options.keys}", "it has db.key, db.crt, update.key"
    if (options.enclave_key is None) != (options.enclave_certificate is None):
        yield "--enclave-key and --enclave-cert go together", "give both, or none"
    if sources.offline and (sources.pull or sources.docker):
        yield "--offline opens no socket; --pull and --docker need one", "leave one out"
    if options.architecture:
        yield from _problems_of_architecture(options.architecture)


def _problems_of_architecture(name: str) -> Iterator[tuple[str, str]]:
    # Most builds name none, and the module costs an unchanged one a hundredth of its time.
    from assembler.oci import (  # noqa: PLC0415
        ARCHITECTURES,
        architecture_hint,
        normalize_architecture,
    )

    if normalize_architecture(name) in ARCHITECTURES:
        return
    yield (
        f"--arch: unknown architecture {name!r}",
        architecture_hint(name) or f"choose one of {', '.join(ARCHITECTURES)}",
    )


def _problems_of_output(options: BuildOptions) -> Iterator[tuple[str, str]]:
    if options.output is not None and (options.name or options.directory != Path()):
        yield "--output names the file; --name and --dir have no effect with it", "leave one out"
    if "/" in options.name:
        yield "--name is the beginning of file names, without a directory", "use --dir"
    if isinstance(options.output, Path) and options.output.is_dir():
        yield f"--output: {options.output} is a directory", "use --dir, or name a file in it"


def check_only_formats(formats: Sequence[Format]) -> None:
    """Refuse other formats beside one that must be the only one."""
    only = next((f.name for f in formats if f.name in _ONLY_FORMATS), None)
    if only and len(formats) > 1:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"{only} must be the only format, as in LinuxKit",
            "run `dolmen build` again for the others: it reuses what they share",
        )
