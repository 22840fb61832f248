"""Codes of the stage "usage": the command line."""

from assembler.codes import Code

BAD_OPTION = Code(
    901,
    "An option or argument does not fit",
    "`dolmen COMMAND --help` shows every option with examples.",
)
UNKNOWN_CODE = Code(
    902,
    "There is no such diagnostic code",
    "Codes look like DM0012; docs/errors.md lists them all.",
)
