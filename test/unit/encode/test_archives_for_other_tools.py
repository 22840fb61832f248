"""What the encoders write, as other programs read it: tar by Python and bsdtar, newc by cpio."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.encode.byte_sinks import BytesOutput
from assembler.encode.inventory import Inventory
from assembler.encode.newc_encoder import NewcEncoder
from assembler.encode.tar_encoder import TAR_END, TarEncoder, global_comment
from assembler.errors import OutputError
from assembler.oci.layers import HARD_LINK, TarReader
from assembler.rootfs.plan import EntryKind, GeneratedEntry, Origin
from support.archives import E, directory, hardlink, symlink, tar
from support.cpio import archives_of

ORIGIN = Origin("docker.io/example/x:1", "services[0]")
NAMES = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\"), min_size=1
).filter(lambda x: x not in (".", "..") and not x.startswith(".wh.") and len(x.encode()) < 250)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
IDS = st.sampled_from([0, 1, 1000, 0o7777777, 0o7777777 + 1, 2**31, 2**32 - 1])
TIMES = st.one_of(
    st.integers(-(2**33), 2**37), st.sampled_from([0.5, 1_500_000_000.25, 0o77777777777])
)
ENTRIES = st.lists(
    st.builds(
        E,
        name=PATHS,
        data=st.binary(max_size=1500),
        mode=st.integers(0, 0o7777),
        uid=IDS,
        gid=IDS,
        mtime=TIMES,
        pax=st.dictionaries(
            st.sampled_from(["SCHILY.xattr.user.a", "SCHILY.xattr.user.b", "comment"]),
            st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=20).filter(
                lambda x: "\0" not in x
            ),
        ),
    ),
    max_size=6,
    unique_by=lambda e: e.name,
)


class Pieces(BytesOutput):
    """Keeps what a newc encoder writes."""

    def put_all(self, pieces: list[bytes | memoryview]) -> None:
        """Keep the pieces."""
        self.pieces += pieces


def as_tar(archive: bytes, prefix: str = "", origin: Origin | None = ORIGIN) -> bytes:
    """Encode the entries of an archive once more."""
    out = BytesOutput()
    encoder = TarEncoder(out, origin, prefix, Inventory())
    reader = TarReader([archive])
    while reader.next():
        name = reader.name.rstrip(b"/")
        if reader.kind == HARD_LINK:
            encoder.link(name, reader.link, reader)
        else:
            encoder.add(name, reader)
    return b"".join(out.pieces) + TAR_END


def as_newc(archive: bytes, learned: dict[bytes, list[bytes]] | None = None) -> bytes:
    """Encode the entries of an archive as newc."""
    out = Pieces()
    encoder = NewcEncoder(out, "", Inventory(), "x", learned)
    reader = TarReader([archive])
    while reader.next():
        name = reader.name.rstrip(b"/")
        if reader.kind == HARD_LINK:
            encoder.link(name, reader.link, reader)
        else:
            encoder.add(name, reader)
    if encoder.needs_retry:
        assert learned is None
        return as_newc(archive, encoder.hard_links)
    encoder.finish(trailer=True)
    return b"".join(out.pieces)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(ENTRIES)
def test_python_reads_the_tar_as_it_was_written(entries: list[E]) -> None:
    data = as_tar(tar(entries), "a/b/")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = archive.getmembers()
        assert [m.name for m in found] == [f"a/b/{e.name}" for e in entries]
        for member, entry in zip(found, entries, strict=True):
            file = archive.extractfile(member)
            assert file is not None
            assert file.read() == entry.data
            assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert member.mtime == pytest.approx(entry.mtime)
            # Where an entry comes from is ours to say, whatever the image's layer says.
            own = {k: v for k, v in entry.pax.items() if k != "comment"}
            assert {k: v for k, v in member.pax_headers.items() if "xattr" in k} == own
            assert member.pax_headers["comment"] == "services[0] docker.io/example/x:1"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ENTRIES)
def test_a_tar_encoded_once_more_is_the_same(entries: list[E]) -> None:
    once = as_tar(tar(entries))
    assert as_tar(once) == once


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ENTRIES)
def test_newc_holds_the_same_files(entries: list[E]) -> None:
    (found,) = archives_of(as_newc(tar(entries)))
    assert [(f.name, f.data, f.mode & 0o7777, f.uid, f.gid) for f in found] == [
        (e.name, e.data, e.mode, e.uid, e.gid) for e in entries
    ]


ODD = (
    directory("d", 0o1777),
    E("d/file", b"content\n" * 100, mode=0o4755, uid=1000),
    hardlink("d/link", "d/file"),
    symlink("d/symlink", "../somewhere/" + "long/" * 40),
    directory("x" * 120),
    E("x" * 120 + "/" + "y" * 200, b"long"),
    E("größe", b"text"),
    E("dev-null", type=tarfile.CHRTYPE, device=(1, 3)),
    E("pipe", type=tarfile.FIFOTYPE),
    E("empty"),
)


def test_bsdtar_and_gnu_tar_extract_it_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "odd.tar"
    path.write_bytes(global_comment(b"x" * 3000) + as_tar(tar(ODD)))
    for number, program in enumerate(("bsdtar", "tar")):
        target = tmp_path / str(number)
        target.mkdir()
        skipped = [] if os.geteuid() == 0 else ["--exclude", "dev-null", "--no-same-owner"]
        ran = subprocess.run(
            [program, "-xpf", path, *skipped],
            cwd=target,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
        assert (target / "d/link").samefile(target / "d/file")
        assert (target / "d/symlink").readlink() == Path("../somewhere/" + "long/" * 40)
        assert (target / ("x" * 120) / ("y" * 200)).read_bytes() == b"long"
        assert (target / "größe").read_bytes() == b"text"
        assert (target / "pipe").is_fifo()


def test_cpio_extracts_the_newc_without_a_word(tmp_path: Path) -> None:
    entries = [e for e in ODD if e.name != "dev-null"]
    ran = subprocess.run(
        ["cpio", "-idm", "--quiet"],
        cwd=tmp_path,
        input=as_newc(tar(entries)),
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert (tmp_path / "d/link").samefile(tmp_path / "d/file")
    assert (tmp_path / "d/file").stat().st_nlink == 2
    assert (tmp_path / ("x" * 120) / ("y" * 200)).read_bytes() == b"long"
    assert (tmp_path / "größe").read_bytes() == b"text"


def test_links_to_what_is_far_back_need_a_second_attempt() -> None:
    entries = [E("first", b"1"), *(E(f"{n}", bytes(1 << 20)) for n in range(8))]
    (found,) = archives_of(as_newc(tar([*entries, hardlink("again", "first")])))
    first, again = (next(f for f in found if f.name == n) for n in ("first", "again"))
    assert first.inode == again.inode
    assert (first.links, again.links, first.data, again.data) == (2, 2, b"1", b"")


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()


def test_device_numbers_that_do_not_fit_become_records() -> None:
    entries = [
        E("large", type=tarfile.CHRTYPE, device=(0o10000000, 5)),
        E("small", type=tarfile.BLKTYPE, device=(0o7777777, 0o7777777)),
        E("file", b"1"),
    ]
    large, small, file = members(as_tar(tar(entries, tarfile.GNU_FORMAT)))
    records = {k: v for k, v in large.pax_headers.items() if k.startswith("SCHILY")}
    assert records == {"SCHILY.devmajor": str(0o10000000), "SCHILY.devminor": "5"}
    assert (small.devmajor, small.devminor) == (0o7777777, 0o7777777)
    assert (file.devmajor, file.devminor) == (0, 0)
    assert not any(k.startswith("SCHILY") for m in (small, file) for k in m.pax_headers)


@pytest.mark.parametrize("mtime", [0, 1, 0o77777777777, -1])
def test_the_time_of_the_first_entry_is_its_own(mtime: int) -> None:
    for kind in (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE):
        (found,) = members(as_tar(tar([E("f", mtime=mtime, type=kind, link="x")])))
        assert found.mtime == mtime


def test_names_of_owners_are_kept_if_they_are_ascii() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, owner in (("one", "alice"), ("two", "größe"), ("three", "bob")):
            for kind in (tarfile.REGTYPE, tarfile.SYMTYPE):
                info = tarfile.TarInfo(name + kind.decode())
                info.type, info.linkname, info.uname, info.gname = kind, "x", owner, "staff"
                archive.addfile(info)
    assert [(m.uname, m.gname) for m in members(as_tar(out.getvalue()))] == [
        *[("alice", "staff")] * 2,
        *[("", "")] * 2,
        *[("bob", "staff")] * 2,
    ]


def test_a_file_below_boot_lives_on_in_its_links() -> None:
    """Files for boot loaders are left out of an initrd; links to them elsewhere are files."""
    entries = [
        E("boot/kernel", b"k", mode=0o600),
        E("boot/other", b"o"),
        directory("boot/d"),
        hardlink("lib/one", "boot/kernel"),
        hardlink("boot/again", "boot/kernel"),
        hardlink("lib/two", "boot/kernel"),
    ]
    (found,) = archives_of(as_newc(tar(entries)))
    assert [(f.name, f.data, f.mode & 0o777, f.links) for f in found] == [
        ("lib/one", b"k", 0o600, 2),
        ("lib/two", b"", 0o600, 2),
    ]
    assert found[0].inode == found[1].inode


def test_many_links_have_their_number() -> None:
    entries = [E("f", b"1"), *(hardlink(f"l{n}", "f") for n in range(19))]
    (found,) = archives_of(as_newc(tar(entries)))
    assert [f.links for f in found[1:]] == list(range(2, 21))
    assert {f.inode for f in found} == {found[0].inode}


def test_newc_has_devices_and_the_nearest_times() -> None:
    entries = [
        E("dev/null", type=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
        E("dev/sda", type=tarfile.BLKTYPE, device=(8, 259), mode=0o660, gid=6),
        E("pipe", type=tarfile.FIFOTYPE),
        directory("d", 0o1777),
        E("early", mtime=-5),
        E("late", mtime=1 << 33),
    ]
    data = as_newc(tar(entries))
    (found,) = archives_of(data)
    assert {f.name: (f.mode, f.links) for f in found} == {
        "dev/null": (0o020666, 1),
        "dev/sda": (0o060660, 1),
        "pipe": (0o010644, 1),
        "d": (0o041777, 2),
        "early": (0o100644, 1),
        "late": (0o100644, 1),
    }
    heads = {name: data[data.index(name + b"\0") - 110 :] for name in (b"dev/null", b"dev/sda")}
    assert {name: head[78:94] for name, head in heads.items()} == {
        b"dev/null": b"0000000100000003",
        b"dev/sda": b"0000000800000103",
    }
    times = [data[data.index(name + b"\0") - 110 :][46:54] for name in (b"early", b"late")]
    assert times == [b"00000000", b"FFFFFFFF"]


def test_links_to_devices_and_symbolic_links_are_copies() -> None:
    """The kernel links regular files alone."""
    entries = [
        E("null", type=tarfile.CHRTYPE, device=(1, 3)),
        hardlink("zero", "null"),
        symlink("s", "target"),
        hardlink("t", "s"),
    ]
    (found,) = archives_of(as_newc(tar(entries)))
    assert [(f.name, f.mode, f.data) for f in found] == [
        ("null", 0o020644, b""),
        ("zero", 0o020644, b""),
        ("s", 0o120777, b"target"),
        ("t", 0o120777, b"target"),
    ]
    assert len({f.inode for f in found}) == 4


def test_what_an_initrd_cannot_hold_is_refused() -> None:
    encoder = NewcEncoder(Pieces(), "", Inventory(), "test/x:1")
    encoder.add_generated(GeneratedEntry("most", EntryKind.FILE, 0o644), 0xFFFFFFFF)
    with pytest.raises(OutputError, match=r"test/x:1: large is 4\.0 GiB"):
        encoder.add_generated(GeneratedEntry("large", EntryKind.FILE, 0o644), 1 << 32)
    longest = GeneratedEntry("s", EntryKind.SYMLINK, 0o777, target="t" * 4095)
    encoder.add_generated(longest, 0)
    for entry in (
        GeneratedEntry("s", EntryKind.SYMLINK, 0o777, target="t" * 4096),
        GeneratedEntry("d" * 4096, EntryKind.DIRECTORY, 0o755),
    ):
        with pytest.raises(OutputError, match="is longer than the kernel accepts"):
            encoder.add_generated(entry, 0)


def test_what_is_made_is_encoded_like_what_is_read() -> None:
    made = [
        (GeneratedEntry("etc", EntryKind.DIRECTORY, 0o755), b""),
        (GeneratedEntry("etc/größe", EntryKind.FILE, 0o640, uid=3, gid=4), b"hello"),
        (GeneratedEntry("etc/link", EntryKind.SYMLINK, 0o777, target="/run/" + "x" * 200), b""),
        (GeneratedEntry("e" * 300, EntryKind.FILE, 0o644), b""),
    ]
    out, pieces = BytesOutput(), Pieces()
    newc = NewcEncoder(pieces, "", Inventory(), "x")
    for encoder in (TarEncoder(out, ORIGIN, "", Inventory()), newc):
        for entry, content in made:
            encoder.add_generated(entry, len(content))  # type: ignore[attr-defined]
            encoder.put(content)  # type: ignore[attr-defined]
            encoder.pad(len(content))  # type: ignore[attr-defined]
    newc.finish(trailer=True)
    data = b"".join(out.pieces) + TAR_END
    assert as_tar(data) == data
    assert as_newc(data) == b"".join(pieces.pieces)
