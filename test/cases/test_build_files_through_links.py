"""Paths of `files` through symbolic links: the same place in every format, and never outside."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from assembler.codes import rootfs as codes
from assembler.content import read_content
from assembler.encode.assembly import Assembly
from assembler.encode.compression import Compression
from assembler.encode.encode_options import EncodeOptions
from assembler.errors import PlanError
from assembler.events import EventRecorder, WarningEmitted
from assembler.formats.iso_tree import iso_entries
from assembler.formats.merged_tar import MergedTar
from assembler.oci import Store
from support.archives import E, directory, image, symlink
from support.systems import loaded, planned

if TYPE_CHECKING:
    from assembler.diagnostics import Diagnostic

INIT = "test/init:1"
TREE = (
    directory("etc"),
    directory("run"),
    directory("srv"),
    directory("srv/full"),
    directory("var"),
    E("etc/passwd", b"root"),
    E("srv/full/x", b"x"),
    symlink("var/run", "../run"),
    symlink("data", "/srv"),
    symlink("out", "../../../srv"),
    symlink("chain", "data/deep"),
    symlink("a", "b"),
    symlink("b", "a"),
    symlink("account", "etc/passwd"),
    symlink("new", "srv/made/there"),
)
FILES = """
  - {path: var/run/app/x, contents: "in run"}
  - {path: var/run/y, contents: "y", mode: "0644"}
  - {path: data/z, contents: "absolute"}
  - {path: out/up, contents: "not above the root"}
  - {path: chain/c, contents: "through two links"}
  - {path: new/n, contents: "directories are made"}
  - {path: etc/plain, contents: "no link"}
  - {path: mine, symlink: /var/run/app}
  - {path: mine/own, contents: "through a link of files"}
  - {path: account, contents: "the link itself is replaced"}
"""
PLACES = {
    "run/app/x": "in run",
    "run/y": "y",
    "srv/z": "absolute",
    "srv/up": "not above the root",
    "srv/deep/c": "through two links",
    "srv/made/there/n": "directories are made",
    "etc/plain": "no link",
    "run/app/own": "through a link of files",
    "account": "the link itself is replaced",
    "etc/passwd": "root",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with an image that has links."""
    found = Store(tmp_path / "store")
    image(found, INIT, TREE)
    return found


class Built:
    """A system that is written in several formats and unpacked by other programs."""

    def __init__(self, store: Store, folder: Path, files: str, *init: str) -> None:
        images = ", ".join(f'"{name}"' for name in init or (INIT,))
        section = f"files:\n{files}" if files.strip() else ""
        plan = planned(loaded(f"init: [{images}]\n{section}"), store)
        self.recorder = EventRecorder()
        options = EncodeOptions(Compression.parse("none"), 1)
        self.assembly = Assembly(plan, store, options, self.recorder)
        self._folder = folder

    def __enter__(self) -> Built:
        return self

    def __exit__(self, *exc: object) -> None:
        self.assembly.close()

    def trees(self) -> dict[str, dict[str, str]]:
        """Return the files of the system as each program unpacks them."""
        found = {"tar": self._unpacked("tar", self.assembly.write_tree)}
        found["initrd"] = self._unpacked("initrd", self.assembly.write_initrd)

        def write_merged(out: IO[bytes]) -> None:
            for piece in MergedTar(self.assembly.tree).chunks():
                out.write(piece)

        # The input of the programs that make squashfs and erofs.
        found["filesystem"] = self._unpacked("filesystem", write_merged)
        found["iso"] = self._iso()
        return found

    def warnings(self) -> list[Diagnostic]:
        return [e.diagnostic for e in self.recorder.events if isinstance(e, WarningEmitted)]

    def _unpacked(self, name: str, write: object) -> dict[str, str]:
        archive, folder = self._folder / f"{name}.archive", self._folder / name
        folder.mkdir()
        with archive.open("wb") as out:
            write(out)  # type: ignore[operator]
        if name == "initrd":
            # It refuses to write through links, unlike the kernel.
            command = ["bsdcpio", "-id", "--quiet"]
        else:
            command = ["tar", "x", "--no-same-owner"]
        with archive.open("rb") as file:
            done = subprocess.run(
                command, cwd=folder, stdin=file, capture_output=True, text=True, check=False
            )
        assert (done.returncode, done.stderr) == (0, ""), name
        return files_in(folder)

    def _iso(self) -> dict[str, str]:
        with (self._folder / "spill").open("w+b") as spill:
            return {
                entry.path.decode(): read_content(entry.content).decode()
                for entry in iso_entries(self.assembly, spill)
                if stat.S_ISREG(entry.mode)
            }


def files_in(folder: Path) -> dict[str, str]:
    """Return the regular files in a folder by their real paths."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def refusal(store: Store, tmp_path: Path, files: str) -> Diagnostic:
    with Built(store, tmp_path, files) as built, pytest.raises(PlanError) as caught:
        built.assembly.prepare(tree=True)
    (found,) = caught.value.diagnostics
    return found


def test_files_through_links_are_at_the_same_place_in_every_format(
    store: Store, tmp_path: Path
) -> None:
    with Built(store, tmp_path, FILES) as built:
        trees = built.trees()
    for name, found in trees.items():
        assert {path: found.get(path) for path in PLACES} == PLACES, name
        assert found == trees["tar"], name
    assert (tmp_path / "tar/var/run").readlink() == Path("../run")
    # Nothing outside of the folders that the programs unpacked into.
    made = {"tar", "initrd", "filesystem", "store", "spill"}
    assert {p.name.removesuffix(".archive") for p in tmp_path.iterdir()} == made


@pytest.mark.parametrize(
    ("files", "message", "line"),
    [
        ("  - {path: a/x, contents: x}\n", "the links a, b lead in a circle", 3),
        ("  - {path: etc/passwd/x, contents: x}\n", "etc/passwd is a file", 3),
        (
            "  - {path: account/x, contents: x}\n",
            "the link account leads to the file etc/passwd",
            3,
        ),
        (
            "  - {path: one, contents: x}\n  - {path: one/two, contents: x}\n",
            "one is a file",
            4,
        ),
        (
            "  - {path: one/two, contents: x}\n  - {path: one, contents: x}\n",
            "one is a directory that is not empty",
            4,
        ),
        ("  - {path: srv/full, symlink: ../run}\n", "srv/full is a directory that is not empty", 3),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_with_its_line(
    store: Store, tmp_path: Path, files: str, message: str, line: int
) -> None:
    found = refusal(store, tmp_path, files)
    assert found.code is codes.BLOCKED_PATH
    assert message in found.message
    assert found.place is not None
    assert found.place.line == line


@pytest.mark.parametrize("_again", range(3))
def test_a_file_replaces_a_link_for_gnu_tar_as_well(
    store: Store, tmp_path: Path, _again: int
) -> None:
    # GNU tar makes these links last, and took the file for its placeholder.
    files = "  - {path: etc/resolv.conf, contents: mine}\n  - {path: var/run, contents: mine}\n"
    with Built(store, tmp_path, files) as built:
        trees = built.trees()
    for name, found in trees.items():
        assert (found["etc/resolv.conf"], found["var/run"]) == ("mine", "mine"), name
        assert found == trees["tar"], name


def test_an_empty_directory_can_be_replaced(store: Store, tmp_path: Path) -> None:
    with Built(store, tmp_path, "  - {path: run, symlink: /srv}\n") as built:
        trees = built.trees()
    assert trees["initrd"] == trees["tar"] == trees["filesystem"] == trees["iso"]
    assert (tmp_path / "tar/run").readlink() == Path("/srv")


def test_a_directory_replaces_a_link_with_a_warning(store: Store, tmp_path: Path) -> None:
    files = "  - {path: var/run, directory: true}\n  - {path: var/run/x, contents: x}\n"
    with Built(store, tmp_path, files) as built:
        trees = built.trees()
        (warning,) = built.warnings()
    assert all(found["var/run/x"] == "x" for found in trees.values())
    assert warning.code is codes.REPLACED_LINK
    assert warning.hints == ("for the directory that it leads to, write path: run",)
    assert warning.place is not None
    assert warning.place.line == 3


def test_files_of_a_later_init_image_go_through_links_of_an_earlier_one(
    store: Store, tmp_path: Path
) -> None:
    # No entry for var/run: a container engine that applies the layer follows the link.
    image(store, "test/follows:1", [E("var/run/later", b"l"), E("chain/deeper/x", b"d")])
    with Built(store, tmp_path, "", INIT, "test/follows:1") as built:
        trees = built.trees()
    for name, found in trees.items():
        assert found["run/later"] == "l", name
        assert found["srv/deep/deeper/x"] == "d", name
        assert found == trees["tar"], name
    assert (tmp_path / "tar/var/run").is_symlink()


@pytest.mark.parametrize("order", [1, -1])
def test_a_directory_of_a_later_init_image_replaces_a_link(
    store: Store, tmp_path: Path, order: int
) -> None:
    # The order of the entries in the layer does not matter.
    image(store, "test/replaces:1", [directory("var/run"), E("var/run/later", b"l")][::order])
    with Built(store, tmp_path, "", INIT, "test/replaces:1") as built:
        trees = built.trees()
    for name, found in trees.items():
        assert found["var/run/later"] == "l", name
        assert found == trees["tar"], name
    assert not (tmp_path / "tar/var/run").is_symlink()


def test_a_link_in_the_path_of_containers_is_refused(store: Store) -> None:
    image(store, "test/odd:1", [symlink("containers", "/srv"), directory("srv")])
    image(store, "test/service:1", [E("x", b"x", mode=0o755)])
    config = loaded(
        'init: ["test/odd:1"]\nservices:\n'
        '  - {name: one, image: "test/service:1", command: ["/x"]}\n'
    )
    with (
        Assembly(planned(config, store), store) as assembly,
        pytest.raises(PlanError, match="an image of init has a link in its path"),
    ):
        assembly.prepare(tree=True)


def test_a_segment_of_an_earlier_version_is_made_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("assembler.encode.inventory.Inventory.pack_index", lambda _: {})
        patch.setattr("assembler.encode.segment_cache.Segment.has_index", True)
        patch.setattr("assembler.encode.segment_cache.Segment.links", lambda *_: {})
        with Built(store, tmp_path, "") as built:
            built.assembly.prepare(tree=True)
    names = {path.name for path in store.layout.segments.iterdir()}
    with Built(store, tmp_path, FILES) as built:
        found = built.trees()["tar"]
        assert not built.warnings()
    assert found["run/app/x"] == "in run"
    assert names <= {path.name for path in store.layout.segments.iterdir()}
