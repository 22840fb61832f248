"""The options of `dolmen build` as data, and whether they make sense together."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.diagnostics import Diagnostic
from assembler.errors import UsageError
from assembler.oci.platform import ARCHITECTURES, normal_architecture

if TYPE_CHECKING:
    from assembler.formats import Format

# Their archive is one stream that the others have no part in.
_ALONE = ("tar", "docker")
_SIZE = re.compile(r"(\d+)([MG]?)B?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of `dolmen build`, as they were given."""

    files: tuple[str, ...]
    formats: tuple[str, ...]
    name: str
    directory: Path | None
    output: str
    architecture: str
    compression: str
    size: str
    jobs: int
    decompress_kernel: bool
    offline: bool
    pull: bool
    docker: bool
    input_tar: Path | None
    sbom: str | None
    sbom_current_time: bool
    dry_run: bool
    force: bool
    as_json: bool
    insecure: tuple[str, ...]
    registry_creds: tuple[str, ...]
    # Build packages named by `@pkg:` that nobody has.
    build_missing: bool = True
    # The image that boot loaders come from, if not that of our own recipe.
    bootloaders: str = ""
    # The same for programs that make filesystems.
    imagetools: str = ""
    # The image that has the firmware of a machine.
    firmware: str = ""
    secure_boot_key: Path | None = None
    secure_boot_cert: Path | None = None

    @property
    def disk_size(self) -> int | None:
        """Return the size asked for in bytes, if any; a number alone means GB, as in LinuxKit."""
        if not self.size:
            return None
        found = _SIZE.fullmatch(self.size)
        if not found or not int(found[1]):
            raise UsageError.of(
                usage.BAD_OPTION, f"--size: not a size: {self.size!r}", "write it as 512M or 2G"
            )
        return int(found[1]) << (20 if found[2].upper() == "M" else 30)

    @property
    def target_name(self) -> str:
        """Return what outputs are named after."""
        if self.name:
            return self.name
        last = self.files[-1]
        stem = Path(last.rstrip("/").rpartition("/")[2]).stem
        return "moby" if last == "-" else stem or "image"


def check(asked: Asked) -> None:
    """Refuse options that contradict one another, whatever is in the files."""
    problems = [Diagnostic(usage.BAD_OPTION, message, None, (h,)) for message, h in _wrong(asked)]
    if problems:
        raise UsageError(problems)
    _ = asked.disk_size


def _wrong(asked: Asked) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, and what would be right."""
    if not asked.files:
        yield "no YAML file was given", "dolmen build image.yml"
    yield from _wrong_output(asked)
    if asked.sbom == "":
        yield "--sbom-output: the file needs a name", "--no-sbom leaves the SPDX document out"
    if asked.input_tar is not None and asked.pull:
        yield "--input-tar and --pull contradict each other", "leave one out"
    if asked.input_tar is not None and not asked.input_tar.is_file():
        yield f"--input-tar: there is no file {asked.input_tar}", "leave it out: see --help"
    if (asked.secure_boot_key is None) != (asked.secure_boot_cert is None):
        yield (
            "--secure-boot-key and --secure-boot-cert go together",
            "`dolmen keys generate DIR` makes both: DIR/db.key, DIR/db.crt",
        )
    if asked.offline and (asked.pull or asked.docker):
        yield "--offline opens no socket; --pull and --docker need one", "leave one out"
    if asked.architecture and normal_architecture(asked.architecture) not in ARCHITECTURES:
        import difflib  # noqa: PLC0415 - only for somebody who has mistyped

        near = difflib.get_close_matches(asked.architecture, ARCHITECTURES, 1)
        yield (
            f"--arch: there is no architecture {asked.architecture!r}",
            f"did you mean {near[0]}?" if near else f"there are {', '.join(ARCHITECTURES)}",
        )


def _wrong_output(asked: Asked) -> Iterator[tuple[str, str]]:
    if asked.output and (asked.name or asked.directory):
        yield "--output names the file; --name and --dir have no part in it", "leave one out"
    if "/" in asked.name:
        yield "--name is the beginning of files' names, without a directory", "use --dir"
    if asked.output == "-" and asked.as_json:
        yield "--json and --output - cannot both have standard output", "write to a file"
    elif asked.output == "-" and not asked.dry_run and sys.stdout.isatty():
        yield "standard output is a terminal, and nobody reads archives there", "--output FILE"
    elif asked.output and Path(asked.output).is_dir():
        yield f"--output: {asked.output} is a directory", "use --dir, or name a file in it"


def check_alone(formats: Sequence[Format]) -> None:
    """Refuse formats beside one that stands alone."""
    alone = next((f.name for f in formats if f.name in _ALONE), None)
    if alone and len(formats) > 1:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"the format {alone} stands alone, as in LinuxKit",
            "run `dolmen build` once more for the others: what they share is not made again",
        )
