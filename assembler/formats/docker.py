"""The root filesystem as a tar archive that is the input of `docker build -`."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from assembler.formats.outputs import write_stream
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.rootfs import EntryKind, GeneratedEntry, GeneratedPart, Origin
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from assembler.encode import Assembly
    from assembler.formats.written_output import Output

ENTRYPOINT = "/bin/rc.init"
_DOCKERFILE = f"""
FROM scratch

COPY . ./

ENTRYPOINT ["{ENTRYPOINT}"]
"""


def _write(assembly: Assembly, target: Target, _options: FormatOptions) -> list[Output]:
    dockerfile = GeneratedEntry("Dockerfile", EntryKind.FILE, 0o644, _DOCKERFILE.encode())
    extra = (GeneratedPart(Origin("Dockerfile", "docker"), (dockerfile,)),)

    def fill(out: IO[bytes]) -> None:
        assembly.write_tree(out, extra)

    return [write_stream(FORMAT.name, "docker", target, SUFFIXES[FORMAT.name]["docker"], fill)]


FORMAT = Format(
    name="docker",
    write=_write,
    needs=Needs(tree=True),
    is_stream=True,
)
