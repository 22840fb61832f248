"""Codes of the stage "usage": the command line."""

from assembler.codes import Code

BAD_OPTION = Code(
    901,
    "An invalid option or argument",
    "`dolmen COMMAND --help` shows all options with examples.",
)
UNKNOWN_CODE = Code(
    902,
    "An unknown diagnostic code",
    "Codes look like DM0012; docs/errors.md lists all codes.",
)
