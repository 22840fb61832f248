"""The root filesystem as a tar archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.writing import write_stream

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly


def _write(assembly: Assembly, target: Target, _options: FormatOptions) -> list[Output]:
    return [write_stream("tar", "tar", target, ".tar", assembly.write_tree)]


FORMAT = Format(
    name="tar",
    description="the root filesystem as a tar archive",
    suffixes={"tar": ".tar"},
    write=_write,
    needs=Needs(tree=True),
    is_stream=True,
)
