"""The loader: arguments to a merged and checked Config, with all mistakes reported together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checks import IncompleteSections, check_config
from assembler.config.composer import compose_input
from assembler.config.conversion import convert_to_model
from assembler.config.diagnostics import error, has_errors, sort_and_limit, take_until_limit
from assembler.config.inputs import ConfigInput, read_input
from assembler.config.merge import merge_configs
from assembler.config.model import Config
from assembler.config.schema_check import CheckedData, check_schema
from assembler.config.source_files import locate_sources
from assembler.config.templates import PREFIXES, PackageResolver, TemplateExpansion
from assembler.config.urls import printable_name
from assembler.diagnostics import Diagnostic, Place, SourceText
from assembler.errors import ConfigError, DolmenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


__all__ = ["LoadOptions", "LoadedConfig", "PackageResolver", "load_config", "load_config_inputs"]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of loading a config."""

    # Resolves `@pkg:`, `@dolmen:` and `@git:`; with None they are left unchanged.
    packages: PackageResolver | None = None
    # Raises DolmenError for a text that is not an image reference; `Reference.parse` does this.
    check_reference: Callable[[str], object] | None = None
    # Whether the files that `source:` names must exist.
    check_sources: bool = True
    # Whether a YAML file from a URL may name files and packages of this machine.
    allow_local_sources: bool = False


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A merged config, its inputs, and the warnings about them."""

    config: Config
    inputs: tuple[ConfigInput, ...]
    warnings: tuple[Diagnostic, ...] = ()


_CONTAINER_SECTIONS = ("onboot", "onshutdown", "services")
_DEFAULT_OPTIONS = LoadOptions()


def load_config(arguments: Sequence[str], options: LoadOptions = _DEFAULT_OPTIONS) -> LoadedConfig:
    """Read, check and merge files, `-` and URLs; raise one ConfigError with all mistakes."""
    inputs: list[ConfigInput] = []
    diagnostics: list[Diagnostic] = []
    for index, argument in enumerate(arguments):
        if argument in arguments[:index]:
            name = printable_name(argument)
            place = Place(SourceText(name, ""))
            diagnostics.append(error(codes.DUPLICATE_INPUT, f"{name} is given twice", place))
            continue
        try:
            inputs.append(read_input(argument))
        except DolmenError as failure:
            diagnostics += failure.diagnostics
    return _load(inputs, options, diagnostics)


def load_config_inputs(
    inputs: Sequence[ConfigInput], options: LoadOptions = _DEFAULT_OPTIONS
) -> LoadedConfig:
    """Check and merge inputs that were read before; raise one ConfigError with all mistakes."""
    return _load(inputs, options, [])


def _load(
    inputs: Sequence[ConfigInput], options: LoadOptions, diagnostics: list[Diagnostic]
) -> LoadedConfig:
    configs: list[Config] = []
    checked_inputs: list[CheckedData] = []
    unreadable = bool(diagnostics)
    for given in inputs:
        try:
            document = compose_input(given)
        except DolmenError as failure:
            diagnostics += failure.diagnostics
            unreadable = True
            continue
        checked = check_schema("image", document.data, document.positions)
        diagnostics += checked.diagnostics
        checked_inputs.append(checked)
        config, more = _convert(given, checked, options)
        diagnostics += more
        configs.append(config)
    config = merge_configs(configs) if configs else Config()
    incomplete = IncompleteSections(
        volumes=unreadable or any(c.may_lack("name", "volumes") for c in checked_inputs),
        containers=unreadable
        or any(c.may_lack("name", *_CONTAINER_SECTIONS) for c in checked_inputs),
        kernel=unreadable or any(c.may_lack("image", "kernel") for c in checked_inputs),
    )
    diagnostics += take_until_limit(check_config(config, incomplete))
    if options.check_reference is not None:
        diagnostics += take_until_limit(_check_references(config, options.check_reference))
    diagnostics = sort_and_limit(diagnostics)
    if has_errors(diagnostics):
        raise ConfigError(diagnostics)
    return LoadedConfig(config, tuple(inputs), tuple(diagnostics))


def _convert(
    given: ConfigInput, checked: CheckedData, options: LoadOptions
) -> tuple[Config, list[Diagnostic]]:
    """Convert one checked input to a Config, with templates expanded and sources located."""
    diagnostics: list[Diagnostic] = []
    data = checked.data if isinstance(checked.data, dict) else {}
    positions = checked.positions
    if options.packages is not None:
        expansion = TemplateExpansion(
            options.packages, given, allow_local=options.allow_local_sources
        )
        data, positions = expansion.expand(data, positions)
        diagnostics += expansion.diagnostics
    config = convert_to_model(Config, data, positions)
    if options.check_sources:
        config, missing = locate_sources(config, given, allow_local=options.allow_local_sources)
        diagnostics += missing
    return config, diagnostics


def _check_references(
    config: Config, check_reference: Callable[[str], object]
) -> Iterator[Diagnostic]:
    for name, place in _image_names(config):
        if name.startswith(PREFIXES):
            continue
        try:
            check_reference(name)
        except DolmenError as failure:
            yield from failure.with_place(place).diagnostics


def _image_names(config: Config) -> Iterator[tuple[str, Place | None]]:
    """Yield the names of all images; kernel and volumes may have an empty one, for no image."""
    if config.kernel is not None and config.kernel.image:
        yield config.kernel.image, config.kernel.positions.place_of("image")
    for index, name in enumerate(config.init):
        yield name, config.positions.place_of("init", index)
    for volume in config.volumes:
        if volume.image:
            yield volume.image, volume.positions.place_of("image")
    for container in (*config.onboot, *config.onshutdown, *config.services):
        if "image" in container.positions.children:
            yield container.image, container.positions.place_of("image")
