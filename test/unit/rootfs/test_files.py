"""Entries of `files`: what they become, and the directories leading to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.codes import rootfs
from assembler.config.model import Config, RootfsFile
from assembler.errors import DolmenError, PlanError
from assembler.rootfs import PlanOptions, ResolvedImages, make_plan
from assembler.rootfs.plan import EntryKind, GeneratedEntry, GeneratedPart, LocalFile, Plan
from support.systems import loaded, made, planned

if TYPE_CHECKING:
    from assembler.oci.store import Store

NOTHING = ResolvedImages({}, lambda _, what: what.encode())


def plan_of(*files: RootfsFile, directory: Path = Path(), home: Path | None = None) -> Plan:
    """Plan a system of files only, made by a program and not read from YAML."""
    options = PlanOptions("amd64", directory=directory, home=home)
    return make_plan(Config(files=files), NOTHING, options)


def test_parent_directories_of_images_are_not_changed(store: Store) -> None:
    config = loaded("init: ['example/init:v1']\nfiles: [{path: tmp/a, contents: x}]")
    plan = planned(config, store)
    assert made(plan)["tmp"] == GeneratedEntry("tmp", EntryKind.DIRECTORY, 0o700, implied=True)
    assert plan.warnings == ()


def test_a_directory_that_was_listed_keeps_its_mode() -> None:
    plan = plan_of(
        RootfsFile("tmp", directory=True, mode="1777"),
        RootfsFile("tmp/a", contents="x"),
        RootfsFile("/tmp//./b", contents="y"),
    )
    assert made(plan)["tmp"].mode == 0o1777
    assert sorted(made(plan)) == ["tmp", "tmp/a", "tmp/b"]


@pytest.mark.parametrize(
    ("mode", "parent"),
    [("0600", 0o700), ("0644", 0o755), ("0040", 0o050), ("0400", 0o500), ("0", 0), (None, 0o700)],
)
def test_parent_directories_get_the_execute_bits_of_the_file(mode: str | None, parent: int) -> None:
    plan = plan_of(RootfsFile("a/b", contents="x", mode=mode, uid=3, gid=4))
    assert made(plan)["a"] == GeneratedEntry(
        "a", EntryKind.DIRECTORY, parent, uid=3, gid=4, implied=True
    )


@pytest.mark.parametrize(
    "file",
    [
        RootfsFile(contents="x"),
        RootfsFile("", contents="x"),
        RootfsFile("/", directory=True),
        RootfsFile("a/../../b", contents="x"),
        RootfsFile("a\0b", contents="x"),
        RootfsFile("a"),
        RootfsFile("a", symlink="b", contents="x"),
        RootfsFile("a", directory=True, contents=""),
        RootfsFile("a", source="x", contents="x"),
        RootfsFile("a", source="x", metadata="json"),
        RootfsFile("a", contents="\ud800"),
        RootfsFile("a", metadata="toml"),
    ],
)
def test_contradictions_and_gaps_are_refused(file: RootfsFile) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(file)
    assert [d.code for d in caught.value.diagnostics] == [rootfs.BAD_FILE]


@pytest.mark.parametrize("mode", ["0999", "u+rw", "10000", "-1", "+7", " 7", "0o7", "7_7"])
def test_an_invalid_mode_is_refused(mode: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(RootfsFile("a", contents="", mode=mode))
    assert [d.code for d in caught.value.diagnostics] == [rootfs.BAD_MODE]


def test_sources_are_files_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"123")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine").write_bytes(b"4567")
    plan = plan_of(
        RootfsFile("a", source="here"),
        RootfsFile("b", source="~/mine"),
        RootfsFile("c", source="not-there", optional=True),
        RootfsFile("d", source_path=tmp_path / "here", source="elsewhere"),
        directory=tmp_path,
        home=tmp_path / "home",
    )
    contents = {path: entry.content for path, entry in made(plan).items()}
    assert contents == {
        "a": LocalFile(tmp_path / "here", 3),
        "b": LocalFile(tmp_path / "home" / "mine", 4),
        "d": LocalFile(tmp_path / "here", 3),
    }


@pytest.mark.parametrize("source", ["not-there", "directory", "pipe", "here/below", "\0"])
def test_other_sources_than_files_are_refused(tmp_path: Path, source: str) -> None:
    import os

    (tmp_path / "directory").mkdir()
    (tmp_path / "here").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DolmenError) as caught:
        plan_of(RootfsFile("a", source=source), directory=tmp_path)
    assert [d.code for d in caught.value.diagnostics] == [rootfs.BAD_SOURCE]


def test_every_entry_is_a_part_with_its_origin() -> None:
    plan = plan_of(RootfsFile("a/b", contents="x"), RootfsFile("c", symlink="d"))
    origins = [
        (p.origin.source, p.origin.location) for p in plan.parts if isinstance(p, GeneratedPart)
    ]
    assert origins == [("linuxkit.files", "files[0]"), ("linuxkit.files", "files[1]")]


@pytest.mark.parametrize("uid", [-1, 1 << 32, "ghost", "1000"])
def test_invalid_ids_are_refused(uid: int | str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(RootfsFile("a", contents="", uid=uid))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == rootfs.BAD_ID
    if uid == "1000":
        assert "without quotes" in diagnostic.hints[0]
