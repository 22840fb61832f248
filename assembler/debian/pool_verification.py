"""Verifying the pool of Debian packages; damaged ones are removed, and recipes fetch them again."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from assembler.codes import packages as codes
from assembler.debian.pool import file_sha256
from assembler.events import task
from assembler.oci import files_in

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci import Store, VerifyReport

_NAME = re.compile(r"([0-9a-f]{64})\.deb")
_WORKERS = 2


def verify_debian_packages(store: Store, report: VerifyReport, reporter: Reporter) -> None:
    """Compare all Debian packages with the digests in their names; add the result to the report."""
    found = files_in(store.root / "debs" / "pool")
    files = sorted((f for f in found if _NAME.fullmatch(f.path.name)), key=lambda f: f.path)
    if not files:
        return
    total = sum(f.size for f in files)
    with (
        task(reporter, "verify Debian packages", total) as progress,
        ThreadPoolExecutor(_WORKERS) as pool,
    ):
        for file, intact in zip(files, pool.map(_is_intact, [f.path for f in files]), strict=True):
            progress.advance(file.size)
            if intact:
                report.others += 1
                report.other_bytes += file.size
                continue
            message = f"{file.path}: the content does not match the digest"
            try:
                file.path.unlink(missing_ok=True)
            except OSError as error:
                why = f"{message}; it cannot be removed: {error.strerror}"
                report.add_problem(codes.DAMAGED_FILE, why, f"rm {file.path}")
            else:
                report.repaired.append(f"{message}; removed, recipes download it again")
        progress.outcome = "verified"


def _is_intact(path: Path) -> bool:
    try:
        return file_sha256(path) == path.stem
    except FileNotFoundError:
        return True  # a garbage collection has removed it
    except OSError:
        return False
