"""Output formats: a plan's system as files that machines boot from, or tools go on with.

`available` lists the formats, `chosen` finds those asked for, `write_all` writes them. Each
format is a module of this package with a `FORMAT`, and a line in the registry.
"""

from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.registry import available_formats, select_formats
from assembler.formats.writing import check_architecture, write_formats

__all__ = [
    "Format",
    "FormatOptions",
    "Needs",
    "Output",
    "Target",
    "available_formats",
    "check_architecture",
    "select_formats",
    "write_formats",
]
