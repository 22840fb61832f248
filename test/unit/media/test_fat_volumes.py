"""FAT volumes, with the programs of dosfstools and mtools as judges."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.content import FileRange, iter_chunks
from assembler.errors import OutputError
from assembler.media import image_pieces, write_image
from assembler.media.fat import FAT_SECTOR, MAX_FAT_SIZE, FatFile, FatVolume

needs_judges = pytest.mark.skipif(
    not (shutil.which("fsck.vfat") and shutil.which("mcopy")),
    reason="dosfstools or mtools is not installed",
)
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

SOME = (
    FatFile("EFI/BOOT/BOOTX64.EFI", b"program" * 20_000),
    FatFile("loader/entries/a long Name.conf", b"title x\n"),
    FatFile("loader/entries/a long name 2.conf", b""),
    FatFile("loader/loader.conf", b"timeout 0\n"),
    FatFile("käse.txt", b"1"),
    FatFile("README", b"short"),
    FatFile(".hidden", b"dot"),
)


def judged(volume: FatVolume, path: Path) -> Path:
    """Write a volume, and have it judged."""
    with path.open("w+b") as file:
        write_image(volume, file)
        assert file.tell() == volume.size
    done = subprocess.run(["fsck.vfat", "-n", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.strip().splitlines()) == 2, done.stdout
    return path


def content(path: Path, name: str) -> bytes:
    """Return a file of a volume, as mtools reads it."""
    return subprocess.run(
        ["mcopy", "-n", "-i", path, f"::{name}", "-"], capture_output=True, check=True
    ).stdout


@needs_judges
@pytest.mark.parametrize(
    "size",
    [
        None,
        *(100 * KIB + len(SOME[0].content) // KIB * KIB, MIB, 4 * MIB - FAT_SECTOR, 4 * MIB),
        *(33 * MIB + 5 * FAT_SECTOR, 260 * MIB - FAT_SECTOR, 260 * MIB, 8 * GIB, 9 * GIB, 40 * GIB),
    ],
)
def test_volumes_of_any_size_are_sound(size: int | None, tmp_path: Path) -> None:
    volume = FatVolume.plan(SOME, size=size, label="ESP", hidden_sectors=2048)
    assert size is None or volume.size == size
    path = judged(volume, tmp_path / "volume")
    # What is not in use takes no room: here are only tables and files.
    assert path.stat().st_blocks * 512 < 2 * MIB
    for file in SOME:
        assert content(path, file.path) == file.content
        extent = volume.extent(file.path)
        with path.open("rb") as raw:
            raw.seek(extent.first * FAT_SECTOR)
            assert raw.read(extent.sectors * FAT_SECTOR).startswith(file.content)


@needs_judges
def test_an_empty_volume_of_100_kib_is_sound(tmp_path: Path) -> None:
    judged(FatVolume.plan([], size=100 * KIB), tmp_path / "volume")


@needs_judges
@pytest.mark.parametrize("size", [MIB, 5 * MIB, 256 * MIB, 300 * MIB])
def test_the_smallest_volume_for_a_file_is_not_much_larger(size: int, tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.truncate(size)
        volume = FatVolume.plan([FatFile("a", FileRange(file.fileno(), size))], seed=b"mark")
        assert size < volume.size < size * 1.02 + 100 * KIB
        if size < 10 * MIB:
            judged(volume, tmp_path / "volume")


@needs_judges
def test_thousands_of_files_with_long_names(tmp_path: Path) -> None:
    files = [FatFile(f"{d}/file number {i}.conf", b"%d" % i) for d in "ab" for i in range(400)]
    files += [FatFile(f"in the root {i}", b"") for i in range(600)]
    path = judged(FatVolume.plan(files), tmp_path / "volume")
    assert content(path, "b/file number 399.conf") == b"399"


def test_a_stream_is_the_same_as_a_file(tmp_path: Path) -> None:
    volume = FatVolume.plan(SOME, size=5 * MIB, label="ESP")
    with (tmp_path / "volume").open("w+b") as file:
        write_image(volume, file)
    streamed = b"".join(c for piece in image_pieces(volume) for c in iter_chunks(piece))
    assert (tmp_path / "volume").read_bytes() == streamed


def test_the_order_of_files_does_not_matter_and_their_content_does() -> None:
    def whole(volume: FatVolume) -> bytes:
        return b"".join(c for piece in image_pieces(volume) for c in iter_chunks(piece))

    first = FatVolume.plan(SOME)
    assert whole(first) == whole(FatVolume.plan(SOME[::-1]))
    other = FatVolume.plan([*SOME[:-1], FatFile(".hidden", b"DOT")])
    assert other.serial != first.serial


def test_contents_can_be_replaced_at_their_offsets(tmp_path: Path) -> None:
    volume = FatVolume.plan([FatFile("loader.sys", bytes(5000)), FatFile("z", b"z")])
    sector = b"\xeb\x58\x90LOADER  " + bytes(range(256)) * 2
    changed = volume.with_contents({"loader.sys": b"L" * 5000}).with_boot_sector(sector[:512])
    with (tmp_path / "volume").open("w+b") as file:
        write_image(changed, file)
        extent = changed.extent("loader.sys")
        file.seek(extent.first * FAT_SECTOR)
        assert file.read(5000) == b"L" * 5000
        file.seek(0)
        first = file.read(FAT_SECTOR)
    assert first[:11] == sector[:11]
    assert first[11:90] == volume.boot_sector()[11:90]
    assert first[90:] == sector[90:512]
    with pytest.raises(ValueError, match="another size"):
        volume.with_contents({"loader.sys": b"short"})


@pytest.mark.parametrize(
    "names",
    [
        *(["a:b"], ["a?"], ["con\x01"], ["dot."], ["blank "], ["a//b"], [""], ["x" * 256]),
        *(["a", "A"], ["a", "a/b"], ["d/Same", "D/sAME"], ["\ud800"]),
    ],
)
def test_names_that_fat_cannot_have_are_refused(names: list[str]) -> None:
    with pytest.raises(OutputError, match=r"DM0610"):
        FatVolume.plan([FatFile(name, b"") for name in names])


def test_a_file_of_4_gib_is_refused(tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        large = FileRange(file.fileno(), 1 << 32)
        with pytest.raises(OutputError, match="files on FAT must be smaller than 4 GiB"):
            FatVolume.plan([FatFile("large", large)], seed=b"mark")


def test_a_volume_of_2_tib_is_refused() -> None:
    assert FatVolume.plan(SOME, size=MAX_FAT_SIZE).size == MAX_FAT_SIZE
    with pytest.raises(OutputError, match="smaller than 2 TiB"):
        FatVolume.plan(SOME, size=1 << 41)


def test_a_size_that_is_too_small_is_refused_with_a_sufficient_one() -> None:
    with pytest.raises(OutputError, match=r"they need \d+ bytes") as caught:
        FatVolume.plan(SOME, size=100 * KIB)
    hint = caught.value.diagnostics[0].hints[0]
    FatVolume.plan(SOME, size=int(hint.split()[-2]))


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='"*/:<>?\\|', exclude_categories=("Cc", "Cs")),
    min_size=1,
    max_size=40,
).filter(lambda name: name == name.rstrip(" ."))


@needs_judges
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), st.integers(0, 3000)), max_size=12),
    st.sampled_from([None, 2 * MIB, 5 * MIB]),
)
def test_any_files_make_a_sound_volume(
    files: list[tuple[list[str], int]], size: int | None
) -> None:
    wanted: dict[str, FatFile] = {}
    for parts, length in files:
        wanted["/".join(parts)] = FatFile("/".join(parts), b"%d" % length * length)
    try:
        volume = FatVolume.plan(list(wanted.values()), size=size)
    except OutputError as error:
        assert "DM0610" in str(error)  # noqa: PT017 - two of the names are one
        return
    with tempfile.TemporaryDirectory() as scratch:
        judged(volume, Path(scratch) / "volume")


@needs_judges
@pytest.mark.parametrize("size", [1, 3 * MIB, 5 * MIB, 9 * MIB, 11 * MIB, 262 * MIB])
def test_files_can_be_aligned_for_another_filesystem(size: int, tmp_path: Path) -> None:
    with (tmp_path / "large").open("w+b") as file:
        file.truncate(size)
        large = FatFile("kernel", FileRange(file.fileno(), size))
        volume = FatVolume.plan([large, FatFile("EFI/x", b"x"), FatFile("z", b"z")], alignment=4)
        judged(volume, tmp_path / "volume")
    assert all(volume.extent(name).first % 4 == 0 for name in ("kernel", "EFI/x", "z"))
