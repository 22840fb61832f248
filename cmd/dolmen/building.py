"""What `dolmen build` does: from its options to a result, by way of the stamp if nothing changed.

Everything heavy is imported after the stamp was looked at.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler import stamp
from assembler.codes import config as codes
from assembler.codes import usage
from assembler.config.reading import Input, is_url, read
from assembler.diagnostics import Diagnostic, Place, Source
from assembler.errors import ConfigError, DolmenError, UsageError, host_error, is_of_disk
from assembler.events import LogMessage
from assembler.oci.platform import normal_architecture
from dolmen.build_options import Asked, check, check_alone
from dolmen.build_results import Built, Noting, tell, tell_failure, tell_images
from dolmen.console import progress, say

if TYPE_CHECKING:
    from assembler.build import Request
    from assembler.build.preparing import Prepared
    from assembler.build.request import BuildPackages
    from assembler.events import Reporter
    from assembler.formats import Format, Target
    from assembler.helper_images.programs import Programs
    from assembler.media.authenticode import Signer
    from assembler.oci.store import Store
    from dolmen.settings import Settings

__all__ = ["Asked", "build_once", "run"]

# What stands outside of the options and has a say in what comes out.
_ENVIRONMENT = ("HOME", "DOLMEN_PKG_ORG", "LINUXKIT_PKG_ORG", "SOURCE_DATE_EPOCH")


def run(settings: Settings, asked: Asked) -> None:
    """Build, or find that nothing has to be done."""
    if "help" in asked.formats:
        _list_formats()
        return
    warnings: list[Diagnostic] = []
    try:
        _run(settings, asked, warnings)
    except (DolmenError, OSError) as error:
        if isinstance(error, OSError) and not is_of_disk(error):
            raise
        # Standard output may be where an archive is awaited.
        if asked.as_json and asked.output != "-" and not isinstance(error, BrokenPipeError):
            tell_failure(_explained(error), warnings)
        raise


def _explained(error: DolmenError | OSError) -> DolmenError:
    if isinstance(error, DolmenError):
        return error
    return host_error(error, error.filename or "a file", "write")


def _run(settings: Settings, asked: Asked, warnings: list[Diagnostic]) -> None:
    check(asked)
    _check_registries(settings, asked)
    inputs = _read_all(asked.files)
    if asked.dry_run:
        _formats(asked)
        _print_merged(inputs)
        return
    key = stamp.key_of(_what_counts(asked), [i.content for i in inputs])
    may_stamp = _may_stamp(asked, inputs)
    if may_stamp and not asked.force:
        kept = stamp.still_valid(settings.cache, key)
        if kept is not None:
            for warning in () if settings.quiet else kept.result["warnings"]:
                sys.stderr.write(warning["text"])
            tell(settings, asked, {**kept.result, "unchanged": True})
            return
    with progress(settings) as reporter:
        built = _build(settings, asked, inputs, Noting(reporter, warnings))
    built = replace(built, warnings=warnings)
    # What went into a pipe is not there for the next time.
    if may_stamp and all(o.path or o.reference for o in built.outputs):
        stamp.keep(settings.cache, key, built.stamp(settings.cache))
    tell(settings, asked, built.result)


def build_once(settings: Settings, asked: Asked) -> dict[str, Any]:
    """Build for a single use: nothing is said but progress, and nothing remembered."""
    check(asked)
    inputs = _read_all(asked.files)
    with progress(settings) as reporter:
        return _build(settings, asked, inputs, reporter).result


def _build(settings: Settings, asked: Asked, inputs: Sequence[Input], reporter: Reporter) -> Built:
    from assembler.build.earlier import origins  # noqa: PLC0415
    from assembler.build.preparing import prepare  # noqa: PLC0415
    from assembler.encode.assembly import Assembly, EncodeOptions  # noqa: PLC0415
    from assembler.encode.compression import Compression  # noqa: PLC0415
    from assembler.formats import (  # noqa: PLC0415
        FormatOptions,
        check_architecture,
        write_all,
    )
    from assembler.helper_images.boot_files import BootAssets  # noqa: PLC0415
    from assembler.oci.store import Store  # noqa: PLC0415

    formats = _formats(asked)
    request = _request(settings, asked, formats)
    check_architecture(formats, normal_architecture(request.architecture))
    compression = Compression.parse(asked.compression)
    signer = _signer(asked)
    store = Store(settings.cache)
    times = [time.perf_counter()]
    with store.in_use():
        prepared = prepare(request, inputs, reporter)
        tell_images(prepared, reporter)
        times.append(time.perf_counter())
        encoding = EncodeOptions(compression, asked.jobs)
        with Assembly(prepared.plan, store, encoding, reporter) as assembly:
            loaders = prepared.bootloaders
            options = FormatOptions(
                signer=signer,
                disk_size=asked.disk_size,
                assets=BootAssets(loaders, store) if loaders is not None else None,
                programs=_programs(formats, prepared, store),
                firmware=(prepared.firmware, store) if prepared.firmware is not None else None,
                origins=partial(origins, prepared, store),
            )
            outputs = write_all(assembly, formats, _target(asked), options, reporter)
        times.append(time.perf_counter())
    seconds = {"prepare": times[1] - times[0], "write": times[2] - times[1]}
    spent = ", ".join(f"{name} {s:.2f} s" for name, s in seconds.items())
    reporter.emit(LogMessage(f"time spent: {spent}", 1))
    return Built(prepared, outputs, {name: round(s, 3) for name, s in seconds.items()})


def _signer(asked: Asked) -> Signer | None:
    """Return what programs are signed with, its passphrase asked for before anything is done."""
    key, certificate = asked.secure_boot_key, asked.secure_boot_cert
    if key is None or certificate is None:
        return None
    from assembler.media.keys import read_signer  # noqa: PLC0415
    from dolmen.secrets import passphrase  # noqa: PLC0415

    return read_signer(key, certificate, lambda: passphrase(str(key)))


def _check_registries(settings: Settings, asked: Asked) -> None:
    """Look at what is said of registries, even if none is going to be asked."""
    if asked.insecure or asked.registry_creds or os.environ.get("DOLMEN_REGISTRY_CREDS"):
        from dolmen.registries import registry_options  # noqa: PLC0415

        registry_options(settings, list(asked.insecure), list(asked.registry_creds))


def _formats(asked: Asked) -> list[Format]:
    from assembler.formats import chosen  # noqa: PLC0415

    formats = chosen(asked.formats, to_stream=bool(asked.output))
    check_alone(formats)
    return formats


def _read_all(names: Sequence[str]) -> list[Input]:
    """Read every file, and tell of all that cannot be read."""
    inputs: list[Input] = []
    problems: list[Diagnostic] = []
    seen: set[str] = set()
    for name in names:
        same = name if name == "-" or is_url(name) else os.path.realpath(name)
        if same in seen:
            place = Place(Source(name, ""))
            problems.append(Diagnostic(codes.GIVEN_TWICE, f"{name} is given twice", place))
            continue
        seen.add(same)
        try:
            inputs.append(read(name))
        except ConfigError as error:
            problems += error.diagnostics
    if problems:
        # What is wrong inside of the others is worth knowing, too.
        try:
            _load(inputs)
        except DolmenError as error:
            problems += error.diagnostics
        raise ConfigError(problems)
    return inputs


def _load(inputs: Sequence[Input]) -> Any:  # noqa: ANN401 - Loaded, whose module is heavy
    from assembler.build.preparing import read_config  # noqa: PLC0415

    return read_config(inputs)


def _print_merged(inputs: Sequence[Input]) -> None:
    from assembler.config import render_yaml  # noqa: PLC0415

    sys.stdout.write(render_yaml(_load(inputs).config))


def _what_counts(asked: Asked) -> dict[str, Any]:
    """Return everything but the files' texts that decides what comes out."""
    counts = {k: v if v is None else str(v) for k, v in asdict(asked).items()}
    for name in ("jobs", "force", "as_json", "dry_run", "offline", "insecure", "registry_creds"):
        del counts[name]
    counts |= {name: os.environ.get(name) for name in _ENVIRONMENT}
    counts["cwd"] = str(Path.cwd())
    if asked.secure_boot_key is None:
        return counts
    from assembler.formats.protocol import digest_of  # noqa: PLC0415

    for path in (asked.secure_boot_key, asked.secure_boot_cert):
        if path is not None and path.is_file():
            counts[str(path)] = digest_of(path)
    return counts


def _may_stamp(asked: Asked, inputs: Sequence[Input]) -> bool:
    """Tell whether everything that the outcome depends on can be seen again next time."""
    moving = asked.pull or asked.docker or asked.output == "-" or any(map(is_url, asked.files))
    clock = asked.sbom_current_time and "SOURCE_DATE_EPOCH" not in os.environ
    return not (moving or clock or any(b"@pkg:" in i.content for i in inputs))


def _request(settings: Settings, asked: Asked, formats: Sequence[Format]) -> Request:
    from assembler.build import Request, SbomRequest, Supply  # noqa: PLC0415
    from assembler.oci.platform import host_platform  # noqa: PLC0415
    from dolmen.registries import registry_options  # noqa: PLC0415

    registries = (
        None
        if asked.offline
        else registry_options(settings, list(asked.insecure), list(asked.registry_creds))
    )
    return Request(
        Supply(
            store=settings.cache,
            registries=registries,
            offline=asked.offline,
            pull=asked.pull,
            docker=asked.docker,
            input_tar=asked.input_tar,
            build_packages=_package_builder(settings, asked) if asked.build_missing else None,
        ),
        architecture=asked.architecture or host_platform().architecture,
        decompress_kernel=asked.decompress_kernel,
        sbom=SbomRequest(asked.sbom, _sbom_time(asked)) if asked.sbom is not None else None,
        needs_bootloaders=any(f.needs.assets for f in formats),
        bootloaders=asked.bootloaders,
        needs_imagetools=_lacks_programs(formats),
        imagetools=asked.imagetools,
        firmware=asked.firmware if any(f.needs.firmware for f in formats) else "",
    )


def _lacks_programs(formats: Sequence[Format]) -> bool:
    programs = frozenset[str]().union(*(f.needs.programs for f in formats))
    if not programs:
        return False
    from assembler.helper_images.programs import lacking  # noqa: PLC0415 - few formats need programs

    return bool(lacking(programs))


def _programs(formats: Sequence[Format], prepared: Prepared, store: Store) -> Programs | None:
    if not any(f.needs.programs for f in formats):
        return None
    from assembler.helper_images.programs import Programs  # noqa: PLC0415 - few formats need programs

    return Programs(prepared.imagetools, store)


def _package_builder(settings: Settings, asked: Asked) -> BuildPackages:
    from dolmen.commands.pkg.means import Access, package_builder  # noqa: PLC0415

    access = Access(
        insecure=list(asked.insecure),
        registry_creds=list(asked.registry_creds),
        offline=asked.offline,
    )
    return package_builder(settings, access)


def _sbom_time(asked: Asked) -> int | None:
    if not asked.sbom_current_time:
        return None
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and not text.isdigit():
        raise UsageError.of(
            usage.BAD_OPTION,
            f"SOURCE_DATE_EPOCH is {text!r}",
            "it is a number of seconds since 1970",
        )
    return int(text) if text else int(time.time())


def _target(asked: Asked) -> Target:
    from assembler.formats import Target  # noqa: PLC0415

    directory = asked.directory or Path()
    if asked.output == "-":
        return Target(directory, asked.target_name, sys.stdout.buffer)
    output = Path(asked.output) if asked.output else None
    return Target(directory, asked.target_name, output)


def _list_formats() -> None:
    from assembler.formats import available  # noqa: PLC0415

    listed = available()
    widest = max(len(f.name) for f in listed)
    for f in listed:
        say(f"{f.name:{widest}}  {f.description}")
