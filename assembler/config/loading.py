"""From arguments to a Config: everything is read and checked before anything is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assembler.config.model import Config
    from assembler.config.reading import Input
    from assembler.diagnostics import Diagnostic


class Packages(Protocol):
    """Whoever knows which image is built from a package directory."""

    def reference(self, directory: Path) -> str:
        """Return the full name of the package's image; a DolmenError if it is no package."""


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
    warnings: tuple[Diagnostic, ...] = field(default=())


def load(arguments: Sequence[str], options: Options = Options()) -> Loaded:  # noqa: B008 - frozen
    """Read, check and merge files, `-` and URLs; raise ConfigError with everything wrong."""
    raise NotImplementedError


def load_inputs(inputs: Sequence[Input], options: Options = Options()) -> Loaded:  # noqa: B008
    """Check and merge what has been read; raise ConfigError with everything wrong."""
    raise NotImplementedError
