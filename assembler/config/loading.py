"""From arguments to a Config: everything is read and checked before anything is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checking import Checked, check
from assembler.config.checks import Gaps, check_config
from assembler.config.composing import compose
from assembler.config.converting import convert
from assembler.config.findings import bounded, error, has_errors, in_order
from assembler.config.merging import merge
from assembler.config.model import Config
from assembler.config.reading import Input, read
from assembler.config.sources import locate
from assembler.config.templates import PREFIX, Expansion, Packages
from assembler.diagnostics import Diagnostic, Place, Source
from assembler.errors import ConfigError, DolmenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


__all__ = ["Loaded", "Options", "Packages", "load", "load_inputs"]


@dataclass(frozen=True, slots=True)
class Options:
    """What loading needs to know from outside."""

    # What `@pkg:` means; without it such texts stay as they are.
    packages: Packages | None = None
    # Raises a DolmenError for what is not the name of an image (`Reference.parse` does).
    check_reference: Callable[[str], object] | None = None
    # Whether the files that `source:` names must be there.
    check_sources: bool = True


@dataclass(frozen=True, slots=True)
class Loaded:
    """A whole configuration, and what it was made from."""

    config: Config
    inputs: tuple[Input, ...]
    warnings: tuple[Diagnostic, ...] = ()


_CONTAINERS = ("onboot", "onshutdown", "services")
_DEFAULT = Options()


def load(arguments: Sequence[str], options: Options = _DEFAULT) -> Loaded:
    """Read, check and merge files, `-` and URLs; raise ConfigError with everything wrong."""
    inputs: list[Input] = []
    found: list[Diagnostic] = []
    for index, argument in enumerate(arguments):
        if argument in arguments[:index]:
            place = Place(Source(argument, ""))
            found.append(error(codes.GIVEN_TWICE, f"{argument} is given twice", place))
            continue
        try:
            inputs.append(read(argument))
        except DolmenError as problem:
            found += problem.diagnostics
    return _load(inputs, options, found)


def load_inputs(inputs: Sequence[Input], options: Options = _DEFAULT) -> Loaded:
    """Check and merge what has been read; raise ConfigError with everything wrong."""
    return _load(inputs, options, [])


def _load(inputs: Sequence[Input], options: Options, found: list[Diagnostic]) -> Loaded:
    configs: list[Config] = []
    checked: list[Checked] = []
    unread = bool(found)
    for given in inputs:
        try:
            document = compose(given)
        except DolmenError as problem:
            found += problem.diagnostics
            unread = True
            continue
        result = check("image", document.data, document.at)
        found += result.found
        checked.append(result)
        config, more = _config(given, result, options)
        found += more
        configs.append(config)
    config = merge(configs) if configs else Config()
    gaps = Gaps(
        volumes=unread or any(c.lost("name", "volumes") for c in checked),
        names=unread or any(c.lost("name", *_CONTAINERS) for c in checked),
        kernel=unread or any(c.lost("image", "kernel") for c in checked),
    )
    found += bounded(check_config(config, gaps))
    if options.check_reference is not None:
        found += bounded(_references(config, options.check_reference))
    found = in_order(found)
    if has_errors(found):
        raise ConfigError(found)
    return Loaded(config, tuple(inputs), tuple(found))


def _config(given: Input, checked: Checked, options: Options) -> tuple[Config, list[Diagnostic]]:
    """Turn one checked document into a Config, with what other places know brought in."""
    found: list[Diagnostic] = []
    data = checked.data if isinstance(checked.data, dict) else {}
    at = checked.at
    if options.packages is not None:
        expansion = Expansion(options.packages, given.directory)
        data, at = expansion.expand(data, at)
        found += expansion.found
    config = convert(Config, data, at)
    if options.check_sources:
        config, missing = locate(config, given.directory)
        found += missing
    return config, found


def _references(config: Config, check_reference: Callable[[str], object]) -> Iterator[Diagnostic]:
    for name, place in _images(config):
        if name.startswith(PREFIX):
            continue
        try:
            check_reference(name)
        except DolmenError as problem:
            yield from problem.at(place).diagnostics


def _images(config: Config) -> Iterator[tuple[str, Place | None]]:
    """Yield the names of all images; an empty one means none for the kernel and volumes."""
    if config.kernel is not None and config.kernel.image:
        yield config.kernel.image, config.kernel.at.of("image")
    for index, name in enumerate(config.init):
        yield name, config.at.of("init", index)
    for volume in config.volumes:
        if volume.image:
            yield volume.image, volume.at.of("image")
    for container in (*config.onboot, *config.onshutdown, *config.services):
        if "image" in container.at.children:
            yield container.image, container.at.of("image")
