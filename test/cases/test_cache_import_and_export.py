"""A user transfers images in files: `dolmen cache import` and `dolmen cache export`."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from functools import partial
from typing import TYPE_CHECKING

import pytest

from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

APP = Reference.parse("example/app:1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with an image example/app:1 of two platforms."""
    store = Store(tmp_path / "cache")
    painter = Painter(store)
    amd, arm = painter.image({"a": b"amd64"}), painter.image({"a": b"arm64"}, ARM64)
    store.put(APP, painter.index(amd, arm))
    return store


def test_to_a_file_and_back(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    archive = tmp_path / "app.tar"
    done = dolmen.run(
        "cache", "export", "example/app:1", "--outfile", archive, "--cache", store.root
    )
    assert (done.returncode, done.stdout) == (0, "")
    other = tmp_path / "other"
    done = dolmen.run("cache", "import", archive, "--cache", other)
    descriptor = find_image(Store(other), APP, ARM64).index
    assert descriptor is not None
    assert done.stdout == f"docker.io/example/app:1 {descriptor.digest}\n"


def test_through_a_pipe(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    environment = dolmen.environment()
    command = [sys.executable, "-m", "dolmen", "cache"]
    first = subprocess.Popen(
        [
            *(*command, "export", "example/app:1", "-o", "-", "--format", "docker"),
            *("--platform", "linux/arm64", "--name", "other:2", "--cache", str(store.root)),
        ],
        env=environment,
        stdout=subprocess.PIPE,
    )
    subprocess.run(
        [*command, "import", "-", "--cache", str(tmp_path / "other")],
        env=environment,
        stdin=first.stdout,
        check=True,
        capture_output=True,
    )
    assert first.wait() == 0
    assert find_image(Store(tmp_path / "other"), Reference.parse("other:2"), ARM64)


def test_export_of_the_filesystem(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    out = tmp_path / "root.tar"
    dolmen.run(
        *("cache", "export", "example/app:1", "-o", out, "--format", "filesystem"),
        *("--platform", "amd64", "--cache", store.root),
        check=True,
    )
    with tarfile.open(out) as tar:
        assert [m.name for m in tar] == ["a"]
        assert tar.extractfile("a").read() == b"amd64"  # type: ignore[union-attr]


def test_a_failed_export_leaves_no_file(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    layer = find_image(store, APP, AMD64).manifest.layers[0]
    store.path(layer.digest).write_bytes(bytes(layer.size))
    out = tmp_path / "out.tar"
    done = dolmen.run("cache", "export", "example/app:1", "-o", out, "--cache", store.root)
    assert done.returncode == 1
    assert "error[DM0208]" in done.stderr
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == []


def test_an_invalid_archive_is_refused(dolmen: Dolmen, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello" * 500)
    for argument in (text, tmp_path / "missing.tar", tmp_path):
        done = dolmen.run("cache", "import", argument, "--cache", tmp_path / "cache")
        assert done.returncode == 1
        assert "error[DM" in done.stderr
        assert "Traceback" not in done.stderr


def test_an_unknown_format(dolmen: Dolmen, store: Store) -> None:
    done = dolmen.run("cache", "export", "x", "-o", "-", "--format", "zip", "--cache", store.root)
    assert done.returncode == 2
    assert "use oci, docker, filesystem" in done.stderr


def test_a_closed_pipe_ends_the_export(dolmen: Dolmen, store: Store) -> None:
    big = Painter(store, compression="none").image({"a": bytes(5_000_000)})
    store.put("docker.io/example/big:1", big)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "dolmen", "cache", "export", "example/big:1"),
            *("-o", "-", "--cache", str(store.root)),
        ],
        env=dolmen.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=False,
    )
    assert process.stdout is not None
    process.stdout.read(1000)
    process.stdout.close()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    assert process.wait() == 1


def test_an_image_that_is_too_large_is_not_imported(
    dolmen: Dolmen, store: Store, tmp_path: Path
) -> None:
    archive = tmp_path / "a.tar"
    name = str(store.names().entries[0].names[0])
    words = ("cache", "--cache", store.root, "export", name, "--outfile", archive)
    assert dolmen.run(*words).returncode == 0
    into = ("cache", "--cache", tmp_path / "new", "import", archive)
    refused = dolmen.run(*into, "--max-image-size", "10")
    assert refused.returncode == 1
    assert "--max-image-size SIZE" in refused.stderr
    assert not [p for p in (tmp_path / "new" / "blobs").rglob("*") if p.is_file()]
    assert dolmen.run(*into, env={"DOLMEN_MAX_IMAGE_SIZE": "10"}).returncode == 1
    assert dolmen.run(*into, "--max-image-size", "1G").returncode == 0


def test_another_file_is_not_imported(dolmen: Dolmen, tmp_path: Path) -> None:
    """A text, nothing at all and a directory are called what they are."""
    run = partial(dolmen.run, "cache", "--cache", tmp_path / "cache", cwd=tmp_path)
    (tmp_path / "short.txt").write_text("hello")
    (tmp_path / "long.txt").write_text("hello " * 1000)
    for name in ("short.txt", "long.txt"):
        assert "it is no tar archive" in run("import", name).stderr
    (tmp_path / "empty").touch()
    assert "cannot be imported: it is empty" in run("import", "empty").stderr
    (tmp_path / "lay out").mkdir()
    (tmp_path / "lay out" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    said = run("import", "lay out").stderr
    assert "lay out is a directory" in said
    assert "tar -C 'lay out' -cf - . | dolmen cache import -" in said


def test_an_export_into_a_missing_directory_fails(
    dolmen: Dolmen, store: Store, tmp_path: Path
) -> None:
    """The error names the target and what is missing, not a temporary file."""
    arguments = ("cache", "export", "example/app:1", "-o", "nodir/x", "--cache", store.root)
    said = dolmen.run(*arguments, cwd=tmp_path).stderr
    assert "cannot write nodir/x: there is no directory nodir" in said
    assert ".part" not in said


def test_the_same_repository_at_another_registry(dolmen: Dolmen, tmp_path: Path) -> None:
    """Every command that does not find a name offers the one of the other registry."""
    store = Store(tmp_path / "cache")
    painter = Painter(store)
    there = "127.0.0.1:5977/ex/multi:1"
    store.put(Reference.parse(there), painter.index(painter.image({"a": b"amd64"})))
    for command in (("inspect",), ("rm",), ("push",), ("export", "-o", "x.tar")):
        done = dolmen.run("cache", *command, "ex/multi:1", "--cache", store.root, cwd=tmp_path)
        assert done.returncode == 1
        assert f"did you mean {there}?" in done.stderr
