"""Verifying the segments of a store; damaged ones are removed, and builds make them again."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.encode.segment_cache import SegmentCache
from assembler.events import task
from assembler.oci import files_in

if TYPE_CHECKING:
    from assembler.events import Reporter
    from assembler.oci import Store, VerifyReport

_NAME = re.compile(r"[0-9a-f]{64}")
_WORKERS = 2


def verify_segments(store: Store, report: VerifyReport, reporter: Reporter) -> None:
    """Compare all segments with their checksums, and add the result to the report."""
    cache = SegmentCache(store.layout.segments)
    files = [f for f in files_in(cache.directory) if _NAME.fullmatch(f.path.name)]
    files.sort(key=lambda f: (-f.size, f.path))
    total = sum(f.size for f in files)
    with (
        task(reporter, "verify segments", total) as progress,
        ThreadPoolExecutor(_WORKERS) as pool,
    ):
        names = [f.path.name for f in files]
        for file, intact in zip(files, pool.map(cache.is_intact, names), strict=True):
            progress.advance(file.size)
            if intact:
                report.segments += 1
                report.segment_bytes += file.size
                continue
            message = f"segment {file.path.name}: the content does not match the checksum"
            cache.discard(file.path.name)
            if file.path.exists():
                report.add_problem(
                    codes.DAMAGED_SEGMENT, f"{message}; it cannot be removed", f"rm {file.path}"
                )
            else:
                report.repaired.append(f"{message}; removed, builds make it again")
        progress.outcome = "verified"
