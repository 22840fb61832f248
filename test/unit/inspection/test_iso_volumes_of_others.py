"""ISO volumes that xorriso and pycdlib wrote: names of Joliet and UDF, and hostile volumes."""

from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from pycdlib import PyCdlib

from assembler.inspection import Inspection, inspect_file, iso_namespaces
from assembler.inspection.iso_namespaces import list_namespace
from assembler.inspection.kinds import new_inspector
from assembler.inspection.source import BytesSource, CorruptDataError, FileSource

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 2048
LONG = "A long näme of more than 31 characters.txt"
DATA = b"hello world"
needs_xorriso = pytest.mark.skipif(
    not shutil.which("xorriso"), reason="xorriso is not installed (Debian package xorriso)"
)


def volume(path: Path, *, joliet: bool = False, udf: bool = False) -> Path:
    """Write a volume with pycdlib: a file, and a directory with a file."""
    iso = PyCdlib()
    iso.new(joliet=3 if joliet else None, udf="2.60" if udf else None)

    def names(name: str) -> dict[str, str]:
        found = {"joliet_path": name} if joliet else {}
        return found | ({"udf_path": name} if udf else {})

    iso.add_fp(io.BytesIO(DATA), len(DATA), "/LONG.TXT;1", **names(f"/{LONG}"))
    iso.add_directory("/DIR", **names("/a directory"))
    iso.add_fp(io.BytesIO(DATA * 2), 2 * len(DATA), "/DIR/FILE.;1", **names("/a directory/file"))
    iso.write(str(path))
    iso.close()
    return path


def listed(found: Inspection) -> dict[str, int]:
    """Return the sizes of all files by their paths."""
    return {file.path: file.size for file in found.files}


@pytest.mark.parametrize(
    ("joliet", "udf", "namespace"),
    [(True, False, "Joliet"), (False, True, "UDF"), (True, True, "UDF")],
)
def test_further_names_are_listed(
    joliet: bool,  # noqa: FBT001
    udf: bool,  # noqa: FBT001
    namespace: str,
    tmp_path: Path,
) -> None:
    found = inspect_file(volume(tmp_path / "v.iso", joliet=joliet, udf=udf))
    assert found.problem == ""
    assert found.facts["names"] == namespace
    assert listed(found) == {LONG: 11, "a directory/file": 22}


def test_a_volume_without_further_names_has_those_of_iso_9660(tmp_path: Path) -> None:
    found = inspect_file(volume(tmp_path / "v.iso"))
    assert found.facts["names"] == "ISO 9660"
    assert listed(found) == {"LONG.TXT": 11, "DIR/FILE": 22}


@needs_xorriso
@pytest.mark.parametrize(
    ("options", "namespace"), [(["-J", "--norock"], "Joliet"), (["-J", "-R"], "Rock Ridge")]
)
def test_volumes_of_xorriso_are_listed(options: list[str], namespace: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "Some Directory").mkdir(parents=True)
    (tree / "Some Directory" / LONG).write_bytes(DATA)
    (tree / "boot.img").write_bytes(bytes(4096))
    command = ["xorriso", "-as", "mkisofs", *options, "-b", "boot.img", "-no-emul-boot"]
    path = tmp_path / "v.iso"
    subprocess.run([*command, "-o", path, tree], check=True, capture_output=True)
    found = inspect_file(path)
    assert found.problem == ""
    assert found.facts["names"] == namespace
    assert listed(found)[f"Some Directory/{LONG}"] == len(DATA)
    (boot,) = (part for name, part in found.parts if name == "boot by BIOS")
    assert boot.facts["sectors loaded"] == 8


def test_a_boot_entry_of_pycdlib_is_found(tmp_path: Path) -> None:
    iso = PyCdlib()
    iso.new()
    iso.add_fp(io.BytesIO(bytes(2048)), 2048, "/BOOT.;1")
    iso.add_eltorito("/BOOT.;1", bootcatfile="/BOOT.CAT;1", platform_id=0xEF)
    iso.write(str(tmp_path / "v.iso"))
    found = inspect_file(tmp_path / "v.iso")
    assert found.problem == ""
    assert [name for name, _ in found.parts] == ["boot by UEFI"]


def test_names_within_a_disk_container_are_not_read(tmp_path: Path) -> None:
    data = volume(tmp_path / "v.iso", joliet=True).read_bytes()
    found = new_inspector().inspect(BytesSource(data))
    assert found is not None
    assert found.problem == "its Joliet names are not read within a disk container"
    assert listed(found) == {"LONG.TXT": 11, "DIR/FILE": 22}


def joliet_root(data: bytes) -> int:
    """Return where the root directory of Joliet begins."""
    for number in range(16, 32):
        descriptor = data[number * SECTOR : (number + 1) * SECTOR]
        if descriptor[0] == 2:
            return int(struct.unpack_from("<I", descriptor, 158)[0]) * SECTOR
    raise AssertionError("there is no descriptor of Joliet")


def directory_record(data: bytes, root: int) -> int:
    """Return where the record of the directory within the root begins."""
    at = root
    while data[at]:
        if data[at + 25] & 2 and data[at + 32] > 1:
            return at
        at += data[at]
    raise AssertionError("there is no directory")


def both(value: int) -> bytes:
    """Return a number in both byte orders."""
    return struct.pack("<I", value) + struct.pack(">I", value)


def test_a_directory_that_contains_itself_ends(tmp_path: Path) -> None:
    path = volume(tmp_path / "v.iso", joliet=True)
    data = bytearray(path.read_bytes())
    root = joliet_root(data)
    at = directory_record(data, root)
    data[at + 2 : at + 10] = both(root // SECTOR)
    path.write_bytes(data)
    start = time.monotonic()
    found = inspect_file(path)
    assert time.monotonic() - start < 30
    assert "Joliet names" in found.problem
    assert listed(found) == {"LONG.TXT": 11, "DIR/FILE": 22}


@pytest.mark.parametrize("size", [0xFFFFF800, 1 << 30])
def test_a_directory_of_gigabytes_takes_no_memory(size: int, tmp_path: Path) -> None:
    path = volume(tmp_path / "v.iso", joliet=True)
    data = bytearray(path.read_bytes())
    at = directory_record(data, joliet_root(data))
    data[at + 10 : at + 18] = both(size)
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(3 << 30)
    found = inspect_file(path)
    assert "Joliet names" in found.problem
    assert listed(found) == {"LONG.TXT": 11, "DIR/FILE": 22}


@pytest.mark.parametrize("sectors", range(24, 280, 37))
def test_a_volume_that_is_cut_short_gives_a_problem(sectors: int, tmp_path: Path) -> None:
    path = volume(tmp_path / "v.iso", joliet=True, udf=True)
    data = path.read_bytes()
    path.write_bytes(data[: sectors * SECTOR])
    found = inspect_file(path)
    assert found.kind == "ISO"
    assert found.problem


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = volume(tmp_path / "v.iso", joliet=True)
    with path.open("rb") as file:
        source = FileSource(file.fileno(), path.stat().st_size)
        assert len(list_namespace(source, "Joliet", 2)) == 2
        with pytest.raises(CorruptDataError, match="it has more than 2 files and directories"):
            list_namespace(source, "Joliet", 1)


def test_a_deadline_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iso_namespaces, "_DEADLINE", 0.001)
    found = inspect_file(volume(tmp_path / "v.iso", joliet=True))
    assert found.problem == "reading its Joliet names takes too long"


@pytest.mark.parametrize("seed", range(20))
def test_changed_bytes_give_words_and_no_traceback(seed: int, tmp_path: Path) -> None:
    path = volume(tmp_path / "v.iso", joliet=True, udf=True)
    data = bytearray(path.read_bytes())
    used = [at for at in range(16 * SECTOR, len(data)) if data[at]]
    chance = random.Random(seed)
    for _ in range(12):
        data[chance.choice(used)] = chance.randrange(256)
    path.write_bytes(data)
    found = inspect_file(path)
    assert "Traceback" not in found.problem
    assert found.size == len(data)
