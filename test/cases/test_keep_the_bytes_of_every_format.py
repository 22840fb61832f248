"""The same inputs give the same bytes from one version to the next.

Outputs of every format, exported images, packages and CDs are compared with the digests in
data/bytes.json. A change that changes bytes on purpose records the digests again, and its diff
shows which outputs changed:

    DOLMEN_RECORD_BYTES=1 pytest -m slow test/cases/test_keep_the_bytes_of_every_format.py

The test does not import the library: with PYTHONPATH and --noconftest it tests another checkout.
"""

from __future__ import annotations

import fcntl
import json
import lzma
import os
import shutil
import subprocess
import sys
import warnings
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import isal
import lz4
import lz4.block
import pytest
import zstandard
from isal import isal_zlib

from support import contents
from support.byte_cases import CASES, CODECS, IN_GIT, Case, packed
from support.fixed_images import write_store
from support.fixed_project import write_project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.slow

TABLE = Path(__file__).parent / "data" / "bytes.json"
RECORDING = bool(os.environ.get("DOLMEN_RECORD_BYTES"))


def versions() -> dict[str, str]:
    """Return the versions of Dolmen and of the libraries that compress, by name.

    A library may compress in another way on another processor: of each, the digest of a
    compressed sample is a part of its version.
    """
    known = [contents.digest(b"%d" % n).encode() for n in range(200)]
    sample = b"".join(known[n % 199] for n in range(0, 300_000, 7))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]
    stream = isal_zlib.compressobj(1, wbits=-15, memLevel=9)
    # As Dolmen does: isal begins longer pieces in another way in some processes.
    begun = stream.compress(sample[:16]) + stream.flush(2)
    made = {
        "isal": (isal.__version__, begun + stream.compress(sample[16:]) + stream.flush()),
        "lz4": (lz4.__version__, lz4.block.compress(sample)),
        "lzma": ("", lzma.compress(sample, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)),
        "zlib": (zlib.ZLIB_RUNTIME_VERSION, zlib.compress(sample, 6)),
        "zstandard": (zstandard.__version__, zstandard.ZstdCompressor(level=3).compress(sample)),
    }
    found = {name: f"{v} {contents.digest(data)[:16]}".strip() for name, (v, data) in made.items()}
    said = subprocess.run(
        [sys.executable, "-m", "dolmen", "version"],
        # Python would find the library in a checkout that it runs in, before that of PYTHONPATH.
        cwd=TABLE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return found | {"version": said.stdout.strip()}


@dataclass(frozen=True)
class Place:
    """A store and a project that all cases share."""

    folder: Path
    versions: Mapping[str, str]
    inputs: Mapping[str, str]

    def run(self, words: tuple[str, ...], out: Path, **changes: Any) -> bytes:
        """Run Dolmen in an environment of its own; only TZ, TMPDIR and PYTHONPATH are passed on."""
        kept = {k: os.environ[k] for k in ("PYTHONPATH", "TZ", "TMPDIR") if k in os.environ}
        fixed = {"PATH": str(self.folder / "programs"), "HOME": str(self.folder), "LANG": "C.UTF-8"}
        other = self.folder / "other" / out.name
        other.mkdir(parents=True, exist_ok=True)
        store = ("--cache", str(self.folder / "store"))
        project = self.folder / "project"
        named = words
        for name, path in (("{out}", out), ("{other}", other), ("{project}", project)):
            named = tuple(word.replace(name, str(path)) for word in named)
        done = subprocess.run(
            [sys.executable, "-m", "dolmen", *(() if words[0] == "--cache" else store), *named],
            cwd=project,
            env=kept | fixed,
            capture_output=True,
            check=False,
            timeout=120,
            **changes,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


def make_place(folder: Path) -> Place:
    """Write a store and a project."""
    inputs = {
        "images": write_store(folder / "store"),
        "project": write_project(folder / "project"),
    }
    (folder / "programs").mkdir()
    for program in ("mksquashfs",):
        shutil.copy(folder / "project" / "programs" / program, folder / "programs")
    if git := shutil.which("git"):
        (folder / "programs" / "git").symlink_to(git)
    return Place(folder, versions(), inputs)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Give a store whose segments stay from one case to the next."""
    return make_place(tmp_path_factory.mktemp("place"))


@contextmanager
def table() -> Iterator[dict[str, Any]]:
    """Give the table, and write it if it was changed."""
    with TABLE.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        known = json.loads(text or '{"inputs": {}, "versions": {}, "outputs": {}}')
        yield known
        changed = json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        if changed != text:
            file.truncate(0)
            file.write(changed)


def check(case: Case, place: Place, out: Path) -> None:
    """Compare the files of a case with the table, or record them."""
    files = {p.relative_to(out).as_posix(): p for p in sorted(out.rglob("*")) if p.is_file()}
    assert files
    with table() as known:
        if RECORDING:
            known["outputs"][case.name] = {n: recorded(case, p) for n, p in files.items()}
        expected = known["outputs"].get(case.name, {})
        differing = [n for n in files if not is_same(case, files[n], expected.get(n), known, place)]
    assert sorted(expected) == sorted(files)
    assert not differing, f"{case.name}: {', '.join(differing)} in {out} are not as recorded"
    shutil.rmtree(out)


def recorded(case: Case, path: Path) -> dict[str, str]:
    """Return the entry of a file in the table."""
    depends = case.depends(path.name)
    found = {"bytes": contents.of_file(path)}
    return found | {"content": depends[1](path)} if depends else found


def is_same(
    case: Case, path: Path, expected: Mapping[str, str] | None, known: Any, place: Place
) -> bool:
    """Tell whether a file is as recorded; of another version of a library, the content counts."""
    if expected is None:
        return False
    depends = case.depends(path.name)
    if depends is None:
        return expected["bytes"] == contents.of_file(path)
    library, content_of = depends
    if known["versions"][library] == place.versions[library]:
        return expected["bytes"] == contents.of_file(path)
    warnings.warn(
        f"{library} is {place.versions[library]}, and the bytes were recorded with "
        f"{known['versions'][library]}: of {case.name}, {path.name}, only the content is compared",
        stacklevel=2,
    )
    return expected["content"] == content_of(path)


def test_inputs_are_as_recorded(place: Place) -> None:
    with table() as known:
        if RECORDING:
            names = {case.name for case in (*CASES, IN_GIT)}
            outputs = {n: files for n, files in known["outputs"].items() if n in names}
            known.update(inputs=place.inputs, versions=place.versions, outputs=outputs)
        assert known["inputs"] == place.inputs
        assert known["outputs"].keys() <= {case.name for case in (*CASES, IN_GIT)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bytes_are_as_recorded(case: Case, place: Place, tmp_path: Path) -> None:
    run_and_check(case, place, tmp_path)


def run_and_check(case: Case, place: Place, folder: Path, **changes: Any) -> None:
    """Run the commands of a case, and compare the files that they write."""
    out = folder / "out"
    out.mkdir(parents=True)
    for words in case.commands:
        printed = place.run(words, out, **changes)
    if printed and not list(out.iterdir()):
        (out / "printed").write_bytes(printed)
    check(case, place, out)


def test_a_cold_store_one_process_and_another_umask_change_nothing(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place")
    (case,) = (case for case in CASES if case.name == "edited")
    alone = tuple(tuple("1" if w == "2" else w for w in words) for words in case.commands)
    run_and_check(replace(case, commands=alone), place, tmp_path, umask=0o077)


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_package_in_git(place: Place, tmp_path: Path) -> None:
    repository = place.folder / "project" / "repository"
    date = {f"GIT_{who}_DATE": "2024-02-03T04:05:06Z" for who in ("AUTHOR", "COMMITTER")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **date}
    who = ("-c", "user.name=n", "-c", "user.email=e")
    commands: tuple[tuple[str, ...], ...] = (
        ("init", "-q", "."),
        ("remote", "add", "origin", "https://git.example.com/a/b"),
        ("add", "."),
        (*who, "commit", "-q", "-m", "x"),
    )
    for words in commands:
        subprocess.run(["git", *words], cwd=repository, env=environment, check=True)
    build, *exports = IN_GIT.commands
    name = place.run(build, tmp_path).decode().strip()
    named = tuple(tuple(name if w == "committed/app" else w for w in words) for words in exports)
    out = tmp_path / "out"
    out.mkdir()
    for words in named:
        place.run(words, out)
    (out / "name").write_text(name)
    check(IN_GIT, place, out)


@pytest.mark.skipif(RECORDING, reason="outputs that differ on purpose are not recorded")
def test_another_version_of_a_library_makes_the_content_count(place: Place, tmp_path: Path) -> None:
    with table() as known:
        same = replace(place, versions=known["versions"])
    other = replace(place, versions={**known["versions"], "zstandard": "other"})
    harder = replace(packed("zstd:2", "zstandard"), name="packed with zstd")
    with pytest.raises(AssertionError, match="are not as recorded"):
        run_and_check(harder, same, tmp_path / "same")
    with pytest.warns(UserWarning, match="zstandard is other"):
        run_and_check(harder, other, tmp_path / "another")
    commands = (tuple(w.replace("system", "edited") for w in c) for c in harder.commands)
    edited = replace(harder, commands=tuple(commands))
    different = pytest.raises(AssertionError, match=r"image-initrd\.tar, oci\.tar in")
    with pytest.warns(UserWarning, match="zstandard is other"), different:
        run_and_check(edited, other, tmp_path / "edited")


def test_every_format_is_built(place: Place, tmp_path: Path) -> None:
    listed = place.run(("build", "--format", "help"), tmp_path).decode().splitlines()
    words = [word for case in CASES for command in case.commands for word in command]
    built = {name for word in words for name in word.split(",")}
    # The test of verified systems builds them twice: they need programs that the place lacks.
    assert {line.split()[0] for line in listed} - {"verified"} <= built


def test_contents_are_the_same_whatever_packs_them() -> None:
    with table() as known:
        outputs = known["outputs"]
    for name in ("image-initrd.img", "image-initrd.tar"):
        files = [outputs[f"packed with {codec}"][name] for codec in CODECS if codec != "none"]
        assert len({file["content"] for file in files}) == 1
        assert len({file["bytes"] for file in files}) == len(files)
    images = [outputs[f"packed with {codec}"]["oci.tar"] for codec in ("gzip", "gzip:6")]
    assert len({image["content"] for image in images}) == 1
    assert len({image["bytes"] for image in images}) == 2
