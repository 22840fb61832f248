"""Names of Joliet and UDF on ISO volumes, as pycdlib reads them in a process with limits.

pycdlib reads a volume as a whole and trusts it: a directory that contains itself or a size that
is wrong costs it time and memory without end. The process that runs it has limits on both, and a
deadline. It is started only for volumes that have such names and none of Rock Ridge.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.inspection.result import FileEntry
from assembler.inspection.source import NotReadableError, file_range_of, printable_text
from assembler.tools import EXTRAS

if TYPE_CHECKING:
    from assembler.inspection.source import DataSource

_PROGRAM = Path(__file__).with_name("pycdlib_listing.py")
_DEADLINE = 20


def list_namespace(source: DataSource, namespace: str, most: int) -> list[FileEntry]:
    """Return the files of a volume under their names of "Joliet" or "UDF"."""
    extra = EXTRAS["iso"]
    if not extra.installed:
        raise NotReadableError(
            f"its {namespace} names are not read without {extra.module}: {extra.install}"
        )
    place = file_range_of(source)
    if place is None:
        raise NotReadableError(f"its {namespace} names are not read within a disk container")
    handle, offset, size = place
    # -P: no module is taken from the working directory.
    command = [sys.executable, "-P", str(_PROGRAM), namespace, str(handle), str(offset), str(size)]
    try:
        done = subprocess.run(
            [*command, str(most)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=(handle,),
            timeout=_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotReadableError(f"reading its {namespace} names takes too long") from error
    if done.returncode:
        raise NotReadableError(f"its {namespace} names take too much time or memory to read")
    answer = json.loads(done.stdout)
    if "problem" in answer:
        said = printable_text(str(answer["problem"]).encode())
        raise NotReadableError(f"its {namespace} names cannot be read: {said}")
    return [
        FileEntry(printable_text(str(path).encode("utf-8", "replace")), int(length))
        for path, length in answer["files"]
    ]
