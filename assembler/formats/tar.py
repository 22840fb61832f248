"""The root filesystem as a tar archive."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from assembler.formats.outputs import write_stream
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from assembler.encode import Assembly
    from assembler.formats.written_output import Output


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    origins = options.origins() if options.origins is not None else None
    write = partial(assembly.write_tree, origins=origins)
    return [write_stream(FORMAT.name, "tar", target, SUFFIXES[FORMAT.name]["tar"], write)]


FORMAT = Format(
    name="tar",
    write=_write,
    needs=Needs(tree=True),
    is_stream=True,
)
