"""Codes of the stage "host": the machine Dolmen runs on."""

from assembler.codes import Code

TOOL_MISSING = Code(
    801,
    "A program that is needed is not installed",
    "Some work is left to programs made for it, such as QEMU or mksquashfs. The message names the "
    "Debian package that brings the program; `dolmen doctor` shows everything this machine has "
    "and lacks.",
)
DISK_FULL = Code(
    802,
    "There is no room left on the disk",
    "Nothing was lost: outputs and cache entries appear whole or not at all. Make room where the "
    "message says (`dolmen cache clean` helps with the store) and run the command again.",
)
NOT_WRITABLE = Code(
    803,
    "A file or directory cannot be written",
    "Dolmen writes only to the output directory and to its store. Choose another place with "
    "`--dir`, `--output` or `--cache`, or change the permissions of the one named.",
)
NOT_READABLE = Code(
    804,
    "A file or directory cannot be read",
    "Check that the path exists, is what the command expects, and may be read by you.",
)
TOOL_FAILED = Code(
    805,
    "A program that was started has failed",
    "The message shows the command as it can be pasted into a shell, and its last lines.",
)
