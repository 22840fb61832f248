"""The stages of a build in order: the only place that knows all of them.

Everything heavy is imported after the remembered result was looked up.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.build.inputs import read_inputs
from assembler.build.option_checks import check_only_formats, check_options
from assembler.build.options import AUTOMATIC, BuildKeywords, BuildOptions
from assembler.build.remembered import cache_key, recall, remember
from assembler.build.result import BuildResult
from assembler.build.strictness import refuse_warnings
from assembler.events import (
    CallbackReporter,
    LogMessage,
    NullReporter,
    WarningRecorder,
    pluralize,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from assembler.build.prepared import PreparedBuild
    from assembler.build.system_plan import SystemPlan
    from assembler.config import ConfigInput
    from assembler.events import Event, Reporter
    from assembler.formats import Format, Output, Target
    from assembler.media import EnclaveSigner, PcrSigner, ReleaseKeys, Signer

# In a directory of keys.
_PCR_KEY = "pcr.key"
# The files of an update: the disk beside them has the same program.
_UPDATE_ROLES = frozenset({"root", "verity", "efi", "index", "checksums"})


def build(
    files: str | Path | Sequence[str | Path],
    options: BuildOptions | None = None,
    *,
    progress: Callable[[Event], None] | None = None,
    **keywords: Unpack[BuildKeywords],
) -> BuildResult:
    """Build the system that YAML files describe, or find that nothing has changed.

    Several files are merged in order. Options are one BuildOptions, its fields as keyword
    arguments, or both; keyword arguments win. Events of progress go to the callback. What is
    wrong is raised as a DolmenError with its diagnostics.
    """
    names, chosen = _names(files), BuildOptions.of(options, keywords)
    check_options(names, chosen)
    inputs = _read(names, chosen)
    key = cache_key(names, chosen, inputs)
    if key is not None and not chosen.force:
        kept = recall(chosen.sources.store, key)
        if kept is not None:
            if chosen.strict:
                refuse_warnings(kept.warnings)
            return kept
    noting = WarningRecorder(CallbackReporter.of(progress), passes_on=not chosen.strict)
    result, prepared = _build(names, inputs, chosen, noting)
    if chosen.strict:
        refuse_warnings(noting.warnings)
    result = replace(result, warnings=tuple(noting.warnings))
    if key is not None:
        store = chosen.sources.store
        remember(store, key, result, _dependencies(prepared, result), prepared.local_files)
    return result


def plan(
    files: str | Path | Sequence[str | Path],
    options: BuildOptions | None = None,
    *,
    progress: Callable[[Event], None] | None = None,
    **keywords: Unpack[BuildKeywords],
) -> SystemPlan:
    """Return what a build would assemble: every image is resolved, nothing is written."""
    names, chosen = _names(files), BuildOptions.of(options, keywords)
    check_options(names, chosen)
    inputs = _read(names, chosen)
    from assembler.build.preparation import prepare  # noqa: PLC0415 - heavy
    from assembler.build.system_plan import SystemPlan  # noqa: PLC0415

    noting = WarningRecorder(CallbackReporter.of(progress))
    with chosen.sources.open_store().in_use():
        prepared = prepare(inputs, chosen, _formats(chosen, inputs), noting)
    return SystemPlan(
        prepared.parts(),
        {str(reference): image.digest for reference, image in prepared.images.items()},
        tuple(noting.warnings),
    )


def merged_yaml(
    files: str | Path | Sequence[str | Path], options: BuildOptions | None = None
) -> str:
    """Return the files, checked and merged, as one image.yml; options are checked as well."""
    from assembler.build.preparation import local_references, read_config  # noqa: PLC0415 - heavy
    from assembler.config import render_config  # noqa: PLC0415

    names, chosen = _names(files), BuildOptions.of(options, {})
    check_options(names, chosen)
    inputs = _read(names, chosen)
    _formats(chosen, inputs)
    packages = local_references(chosen.sources, NullReporter(), write_locks=False)
    loaded = read_config(inputs, packages, allow_local_sources=chosen.allow_local_sources)
    return render_config(loaded.config)


def _read(names: Sequence[str], options: BuildOptions) -> list[ConfigInput]:
    return read_inputs(
        names,
        allow_local_sources=options.allow_local_sources,
        offline=options.sources.offline,
    )


def _names(files: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    several_files = [files] if isinstance(files, str | Path) else files
    return tuple(map(str, several_files))


def _build(
    names: Sequence[str],
    inputs: Sequence[ConfigInput],
    options: BuildOptions,
    reporter: WarningRecorder,
) -> tuple[BuildResult, PreparedBuild]:
    from assembler.build.predictions import write_predictions  # noqa: PLC0415
    from assembler.build.preparation import prepare  # noqa: PLC0415
    from assembler.build.salvage import origins  # noqa: PLC0415
    from assembler.encode import (  # noqa: PLC0415
        Assembly,
        Compression,
        EncodeOptions,
    )
    from assembler.formats import (  # noqa: PLC0415
        FormatOptions,
        check_architecture,
        check_enclave_signing,
        check_pcr_key,
        check_signing,
        write_formats,
    )
    from assembler.oci import host_platform, normalize_architecture  # noqa: PLC0415

    formats = _formats(options, inputs)
    architecture = options.architecture or host_platform().architecture
    check_architecture(formats, normalize_architecture(architecture))
    if options.secure_boot_key is not None:
        check_signing(formats, normalize_architecture(architecture), reporter)
    if options.enclave_key is not None:
        check_enclave_signing(formats)
    if options.pcr_key is not None:
        check_pcr_key(
            formats,
            normalize_architecture(architecture),
            reporter,
            signed=options.secure_boot_key is not None,
        )
    is_automatic = options.compression == AUTOMATIC
    compression = Compression() if is_automatic else Compression.parse(options.compression)
    keys = _release_keys(options)
    signer = _signer(options) if keys is None else keys.programs
    enclave_signer, pcr_signer = _enclave_signer(options), _pcr_signer(options)
    store = options.sources.open_store()
    times = [time.perf_counter()]
    with store.in_use():
        prepared = prepare(inputs, options, formats, reporter)
        _log_images(prepared, reporter)
        times.append(time.perf_counter())
        encoding = EncodeOptions(
            compression, options.jobs, options.sources.layer_limits(), is_automatic
        )
        with Assembly(prepared.plan, store, encoding, reporter) as assembly:
            format_options = FormatOptions(
                disk_size=options.disk_size,
                helpers=prepared.helpers,
                signer=signer,
                release_keys=keys,
                enclave_signer=enclave_signer,
                pcr_signer=pcr_signer,
                origins=partial(origins, prepared, store),
                before_writing=partial(refuse_warnings, reporter.warnings)
                if options.strict
                else None,
            )
            target = _target(names, options)
            outputs = write_formats(assembly, formats, target, format_options, reporter)
        outputs += write_predictions(
            [o for o in outputs if _holds_efi_program(o, formats, prepared.plan.architecture)],
            target,
            reporter,
        )
        times.append(time.perf_counter())
    seconds = {"prepare": times[1] - times[0], "write": times[2] - times[1]}
    spent = ", ".join(f"{name} {s:.2f} s" for name, s in seconds.items())
    reporter.emit(LogMessage(f"time spent: {spent}", 1))
    rounded = {name: round(s, 3) for name, s in seconds.items()}
    return BuildResult(tuple(outputs), prepared.parts(), seconds=rounded), prepared


def _formats(options: BuildOptions, inputs: Sequence[ConfigInput]) -> list[Format]:
    from assembler.formats import VERIFIED, select_formats  # noqa: PLC0415 - an unchanged build needs no format

    names = options.formats
    if not names and options.output is None and _is_verified(inputs):
        names = (VERIFIED,)
    formats = select_formats(names, to_stream=options.output is not None)
    check_only_formats(formats)
    return formats


def _is_verified(inputs: Sequence[ConfigInput]) -> bool:
    """Tell whether the files turn `verified` on; the last one that has it decides."""
    if not any(b"verified" in given.content for given in inputs):
        return False
    from assembler.config import is_verified  # noqa: PLC0415

    return is_verified(inputs)


def _release_keys(options: BuildOptions) -> ReleaseKeys | None:
    if options.keys is None:
        return None
    from assembler.media import read_release_keys  # noqa: PLC0415 - cryptography: 60 ms

    return read_release_keys(options.keys, options.passphrase or (lambda: ""))


def _signer(options: BuildOptions) -> Signer | None:
    """Return what programs for UEFI are signed with; its passphrase is asked for first of all."""
    key, certificate = options.secure_boot_key, options.secure_boot_certificate
    if key is None or certificate is None:
        return None
    from assembler.media import read_signer  # noqa: PLC0415 - cryptography: 60 ms

    return read_signer(key, certificate, options.passphrase or (lambda: ""))


def _enclave_signer(options: BuildOptions) -> EnclaveSigner | None:
    """Return what enclave images are signed with."""
    key, certificate = options.enclave_key, options.enclave_certificate
    if key is None or certificate is None:
        return None
    from assembler.media import read_enclave_signer  # noqa: PLC0415 - cryptography: 60 ms

    return read_enclave_signer(key, certificate, lambda: "")


def _pcr_signer(options: BuildOptions) -> PcrSigner | None:
    key = options.pcr_key
    if key is None and options.keys is not None and (options.keys / _PCR_KEY).is_file():
        key = options.keys / _PCR_KEY
    if key is None:
        return None
    from assembler.media import read_pcr_signer  # noqa: PLC0415 - cryptography

    return read_pcr_signer(key)


def _holds_efi_program(output: Output, formats: Sequence[Format], architecture: str) -> bool:
    if output.role in _UPDATE_ROLES:
        return False
    return any(one.name == output.format and architecture in one.signs_on for one in formats)


def _target(names: Sequence[str], options: BuildOptions) -> Target:
    from assembler.formats import Target  # noqa: PLC0415

    return Target(options.directory, options.name_for(names), options.output)


def _log_images(prepared: PreparedBuild, reporter: Reporter) -> None:
    for reference, image in prepared.images.items():
        about = f"{pluralize(len(image.manifest.layers), 'layer')}, {image.layer_bytes} B"
        reporter.emit(
            LogMessage(f"{reference} is {image.digest}, {image.config.platform}, {about}", 1)
        )


def _dependencies(prepared: PreparedBuild, result: BuildResult) -> list[str]:
    """Return every name in the store that the result depends on."""
    from assembler.oci import (  # noqa: PLC0415
        Reference,
        equivalent_names,
    )

    references = [
        *prepared.references,
        *(Reference.parse(o.reference) for o in result.outputs if o.reference),
    ]
    return sorted({form for r in references for form in equivalent_names(r)})
