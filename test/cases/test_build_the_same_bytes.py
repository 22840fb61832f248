"""A system is built twice under different circumstances, and has the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.events import NullReporter
from assembler.media.keys import KeySetOptions, generate_keys
from assembler.oci.archive_export import ArchiveFormat, ExportOptions, export_archive
from assembler.oci.archive_import import ArchiveInput, import_archive
from assembler.oci.reference import Reference
from assembler.oci.store import Store
from assembler.rootfs import find_required_images as references_of
from support.nobody import LAUNCHER, NOBODY, why_not
from support.systems import loaded
from support.workloads import BOOTLOADERS, EFI, RICH, rich_project, rich_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

pytestmark = pytest.mark.slow

CODECS = ("gzip", "zstd", "lz4", "xz", "none")
TOGETHER = "kernel+initrd,tar-kernel-initrd,oci"
# Those that need boot loaders, and a kernel that firmware can start.
MEDIA = "uki,raw-efi,raw,iso,vmdk,eif"
SIGNED = ("--secure-boot-key=keys/db.key", "--secure-boot-cert=keys/db.crt")


@dataclass(frozen=True)
class Circumstances:
    """How and where a build runs."""

    directory: Path
    store: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    umask: int = -1
    launcher: Sequence[str] = ()

    def build(self, *options: str, files: Sequence[str] = ("image.yml",)) -> dict[str, str]:
        """Build once; return the digests of the files by name, and of images."""
        command = [*self.launcher, sys.executable, "-m", "dolmen", "--cache", self.store, "build"]
        kept = {k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ}
        run = subprocess.run(
            [*map(str, command), "--json", *self.options, *options, *files],
            cwd=self.directory,
            env={**kept, "LANG": "C.UTF-8", **self.environment},
            umask=self.umask,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert run.returncode == 0, run.stderr.decode()
        found = {}
        result = json.loads(run.stdout)
        assert not result["unchanged"]
        for output in result["outputs"]:
            if output["path"]:
                path = self.directory / output["path"]
                found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
                assert output["digest"] == "sha256:" + found[path.name]
                mask = 0o022 if self.umask == -1 else self.umask
                assert path.stat().st_mode & 0o777 == 0o666 & ~mask
                path.unlink()
            else:
                found[output["reference"]] = output["digest"]
        return found

    def build_everything(self) -> dict[str, str]:
        """Build each format, with each compression where it has a part."""
        found = {}
        alone = (("tar",), ("docker",), ("kernel+iso",))
        for options in (*alone, *((TOGETHER, f"--compression={c}") for c in CODECS)):
            for name, digest in self.build("--format", *options).items():
                found[" ".join((*options, name))] = digest
        for options in ((), SIGNED):
            more = ("--bootloaders", BOOTLOADERS, *options)
            built = self.build("--format", MEDIA, *more, files=("image.yml", "efi.yml"))
            found |= {" ".join((*options, name)): digest for name, digest in built.items()}
        return found


@pytest.fixture(scope="module")
def pristine(conformance_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store in which nothing was built; it is copied, never used."""
    root = tmp_path_factory.mktemp("pristine") / "store"
    rich_store(conformance_layout, root)
    generate_keys(root.with_name("keys"), KeySetOptions("Test", datetime(2026, 1, 1, tzinfo=UTC)))
    return root


def project(pristine: Path, directory: Path) -> Path:
    """Write the system, and the keys that sign it."""
    rich_project(directory)
    shutil.copytree(pristine.with_name("keys"), directory / "keys")
    return directory


@pytest.fixture(scope="module")
def usual(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Build everything under the usual circumstances."""
    base = tmp_path_factory.mktemp("usual")
    shutil.copytree(pristine, base / "store")
    found = Circumstances(project(pristine, base / "project"), base / "store").build_everything()
    # Whatever is compared below is really different from one option to the next.
    initrds = [v for k, v in found.items() if k.endswith("initrd.img")]
    assert len(set(initrds)) == len(initrds) == len(CODECS)
    # An enclave image has its registers beside it, and so have programs for UEFI.
    assert len(found) == 2 + 3 + len(CODECS) * 5 + 2 * (len(MEDIA.split(",")) + 2)
    return found


@pytest.fixture
def place(pristine: Path, tmp_path: Path) -> Circumstances:
    """Give the usual circumstances, with a cold store."""
    shutil.copytree(pristine, tmp_path / "store")
    return Circumstances(project(pristine, tmp_path / "project"), tmp_path / "store")


def changed(place: Circumstances, **changes: object) -> Circumstances:
    """Return other circumstances."""
    return Circumstances(**{**place.__dict__, **changes})  # type: ignore[arg-type]


def with_other_times(place: Circumstances) -> None:
    """Let all files be of some time between 1970 and 2100."""
    for directory in (place.directory, place.store):
        for n, path in enumerate(sorted(directory.rglob("*"))):
            os.utime(path, (n * 1_000_003, n * 1_000_003))


def test_environment_umask_and_age_of_files_do_not_matter(
    place: Circumstances, usual: dict[str, str]
) -> None:
    with_other_times(place)
    environment = {
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONHASHSEED": "0",
    }
    other = changed(place, environment=environment, umask=0o077, options=("--jobs", "1"))
    assert other.build_everything() == usual


def test_time_place_and_workers_do_not_matter(
    place: Circumstances, usual: dict[str, str], tmp_path: Path
) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        pytest.skip("libfaketime is not installed (Debian package libfaketime)")
    clock = {"LD_PRELOAD": str(library), "FAKETIME": "@2037-11-12 13:14:15", "NO_FAKE_STAT": "1"}
    told = subprocess.run(["date", "+%Y"], env=clock, capture_output=True, check=True)
    assert told.stdout.strip() == b"2037"
    elsewhere = tmp_path / "a place" / ("with a long name " * 8) / "ä"
    elsewhere.parent.mkdir(parents=True)
    place.directory.rename(elsewhere)
    store = elsewhere / "the store"
    place.store.rename(store)
    environment = {
        **clock,
        "TZ": "America/Anchorage",
        "LC_ALL": "tr_TR.UTF-8",
        "HOME": "/nonexistent",
        "USER": "somebody",
        "HOSTNAME": "elsewhere",
        "SOURCE_DATE_EPOCH": "86400",
        "PYTHONHASHSEED": "4711",
    }
    other = changed(place, directory=elsewhere, store=store, environment=environment)
    assert changed(other, umask=0, options=("--jobs", "5")).build_everything() == usual


def test_the_user_does_not_matter(place: Circumstances, usual: dict[str, str]) -> None:
    if reason := why_not():
        pytest.skip(reason)
    top = place.directory
    for path in (top, place.store, *top.rglob("*"), *place.store.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    for parent in (*place.store.parents,)[:-2]:
        parent.chmod(parent.stat().st_mode | 0o755)
    somebody_else = changed(place, launcher=LAUNCHER, environment={"HOME": "/"})
    try:
        assert somebody_else.build_everything() == usual
    finally:
        for parent in (*place.store.parents,)[:-2]:
            parent.chmod(0o700 if "pytest" in parent.name else parent.stat().st_mode)
    assert (place.store / "segments").stat().st_uid == NOBODY


def _half_warm(place: Circumstances) -> None:
    # Other systems that share images, so that segments come in another order and grouping.
    text = RICH.replace("example/plain:1', command: [a]}", "made/service:1', command: [a]}", 1)
    other = place.directory / "other"
    other.mkdir()
    for name in ("copied.bin", "efi.yml"):
        shutil.copy(place.directory / name, other)
    shutil.copytree(place.directory / "keys", other / "keys")
    (other / "image.yml").write_text(text.replace("'example/runc:v1', ", ""), encoding="utf-8")
    changed(place, directory=other, options=("--jobs", "1")).build_everything()


def _another_order(place: Circumstances) -> None:
    index = place.store / "index.json"
    document = json.loads(index.read_text())
    document["manifests"].reverse()
    index.write_text(json.dumps(document, indent=3))


def _through_archives(place: Circumstances) -> None:
    """Bring every image through an archive into a new store, the last one first."""
    _another_order(place)
    here = place.store.rename(place.store.with_name("first"))
    source, target = Store(here), Store(place.store)
    texts = ((RICH,), (RICH, EFI))
    references = {n.reference for text in texts for n in references_of(loaded(*text))}
    references.add(Reference.parse(BOOTLOADERS))
    for reference in sorted(references, key=str, reverse=True):
        archive = place.store.with_name("archive.tar")
        with archive.open("w+b") as file:
            export_archive(
                source, ExportOptions(reference, ArchiveFormat.OCI), file, NullReporter()
            )
            file.seek(0)
            import_archive(target, ArchiveInput(file, str(reference)), NullReporter())
    shutil.rmtree(here)


def test_the_segment_cache_does_not_matter(place: Circumstances, usual: dict[str, str]) -> None:
    again = changed(place, options=("--force",))
    assert place.build_everything() == usual
    assert again.build_everything() == usual
    # Copied, without times.
    for path in (place.store / "segments").iterdir():
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    assert again.build_everything() == usual


@pytest.mark.parametrize("history", [_half_warm, _through_archives])
def test_the_history_of_the_store_does_not_matter(
    history: Callable[[Circumstances], None], place: Circumstances, usual: dict[str, str]
) -> None:
    history(place)
    assert changed(place, options=("--force",)).build_everything() == usual
