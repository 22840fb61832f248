"""Results of earlier builds: an unchanged build returns one without loading anything else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler import stamp
from assembler.build.result import BuildResult, PlannedPart
from assembler.config import is_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.build.options import BuildOptions
    from assembler.config import ConfigInput
    from assembler.diagnostics import Diagnostic, Place


def cache_key(
    files: Sequence[str], options: BuildOptions, inputs: Sequence[ConfigInput]
) -> str | None:
    """Return the key of a result, or nothing if it depends on more than can be checked later."""
    if not _can_remember(files, options, inputs):
        return None
    return stamp.key_of(_inputs_of(files, options), [i.content for i in inputs])


def _can_remember(
    files: Sequence[str], options: BuildOptions, inputs: Sequence[ConfigInput]
) -> bool:
    sources = options.sources
    moving = sources.pull or sources.docker or any(map(is_url, files))
    stream = options.output is not None and not isinstance(options.output, Path)
    packages = any(
        p in i.content for i in inputs for p in (b"@pkg:", b"@dolmen:", b"@git:", b"@oci:")
    )
    return options.remember and not (moving or stream or packages)


def _inputs_of(files: Sequence[str], options: BuildOptions) -> dict[str, Any]:
    """Return everything but the contents of the files that decides the result."""
    counts: dict[str, Any] = {
        "files": list(files),
        "formats": list(options.formats),
        "name": options.name,
        "directory": str(options.directory),
        "output": str(options.output),
        "architecture": options.architecture,
        "compression": options.compression,
        "disk_size": options.disk_size,
        "decompress_kernel": options.decompress_kernel,
        "input_tar": str(options.input_tar),
        "sbom": [options.sbom.path, options.sbom.created] if options.sbom else None,
        "helper_images": dict(options.helper_images),
        "build_missing": options.build_missing,
        "home": str(Path.home()),
        "cwd": str(Path.cwd()),
    }
    keys = options.keys
    own = [] if keys is None else [keys / n for n in ("db.key", "db.crt", "update.key", "pcr.key")]
    for path in (
        *(options.secure_boot_key, options.secure_boot_certificate),
        *(options.enclave_key, options.enclave_certificate),
        options.pcr_key,
        *own,
    ):
        if path is not None and path.is_file():
            from assembler.formats import file_digest  # noqa: PLC0415 - few builds sign

            counts[str(path)] = file_digest(path)
    return counts


def recall(store: Path, key: str) -> BuildResult | None:
    """Return the result of an earlier build, if its outputs and sources are unchanged."""
    kept = stamp.still_valid(store, key)
    if kept is None:
        return None
    from assembler.formats import Output  # noqa: PLC0415 - only if there is a result

    try:
        return BuildResult(
            tuple(Output.from_json(o) for o in kept.result["outputs"]),
            tuple(PlannedPart(**part) for part in kept.result["parts"]),
            tuple(_diagnostic(w) for w in kept.result["warnings"]),
            kept.result["seconds"],
            unchanged=True,
        )
    except (KeyError, TypeError, ValueError):
        return None


def remember(
    store: Path,
    key: str,
    result: BuildResult,
    names: Sequence[str],
    sources: Sequence[Path],
) -> None:
    """Keep the result, with the names of images and the local files that it depends on."""
    if not all(o.path or o.reference for o in result.outputs):
        return
    document = {
        "outputs": [o.as_json() for o in result.outputs],
        "parts": [part.as_json() for part in result.parts],
        "warnings": [_warning_json(w) for w in result.warnings],
        "seconds": dict(result.seconds),
    }
    kept = stamp.Stamp(
        tuple(names),
        stamp.known_as(store, names),
        tuple(stamp.Trace.of(path) for path in sources),
        tuple(stamp.Trace.of(o.path) for o in result.outputs if o.path),
        document,
    )
    stamp.keep(store, key, kept)


def _warning_json(warning: Diagnostic) -> dict[str, Any]:
    return {
        "code": str(warning.code),
        "severity": str(warning.severity),
        "message": warning.message,
        "place": _place_json(warning.place),
        "hints": list(warning.hints),
        "remarks": [[r.message, _place_json(r.place)] for r in warning.remarks],
    }


def _place_json(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    # The excerpt of a diagnostic is one line: the rest of the text is not needed again.
    return {
        "name": place.source.name,
        "text": place.source.line(place.line),
        "line": place.line,
        "column": place.column,
        "length": place.length,
    }


def _diagnostic(kept: Mapping[str, Any]) -> Diagnostic:
    from assembler.codes import code_of  # noqa: PLC0415 - only if there were warnings
    from assembler.diagnostics import Diagnostic, Remark, Severity  # noqa: PLC0415

    remarks = []
    for message, place in kept["remarks"]:
        found = _place(place)
        if found is not None:
            remarks.append(Remark(message, found))
    return Diagnostic(
        code_of(kept["code"]),
        kept["message"],
        _place(kept["place"]),
        tuple(kept["hints"]),
        tuple(remarks),
        Severity(kept["severity"]),
    )


def _place(kept: Mapping[str, Any] | None) -> Place | None:
    if kept is None:
        return None
    from assembler.diagnostics import Place, SourceText  # noqa: PLC0415 - as above

    before = "\n" * max(kept["line"] - 1, 0)
    source = SourceText(kept["name"], before + kept["text"])
    return Place(source, kept["line"], kept["column"], kept["length"])
