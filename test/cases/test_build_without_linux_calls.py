"""Assembling works where calls of Linux are missing, as on macOS, and gives the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from cases.test_keep_the_bytes_of_every_format import Place, make_place, run_and_check
from support.byte_cases import CASES, Case
from support.faulty_registry import noise
from support.pictures import AMD64, Painter
from support.registry_server import registry_server

if TYPE_CHECKING:
    from support.cli import Dolmen

pytestmark = pytest.mark.slow

# Its sitecustomize.py takes the calls away, also from worker processes.
WITHOUT_LINUX = Path(__file__).parents[1] / "support" / "without_linux"
# The programs of these cases know no path but that in /proc.
NEED_PROC = "filesystems"


@pytest.fixture(autouse=True)
def without_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(WITHOUT_LINUX))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Give a store whose segments are made without these calls."""
    return make_place(tmp_path_factory.mktemp("place"))


def test_the_calls_are_missing() -> None:
    code = """if True:
        import os, sys
        from pathlib import Path
        assert sys.platform == "darwin"
        assert not hasattr(os, "copy_file_range")
        assert not Path("/proc/self/fd").exists()
        for read in (os.listdir, open, os.stat):
            try:
                read("/proc/self/stat")
            except FileNotFoundError:
                continue
            raise AssertionError(read)
        """
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not case.name.startswith(NEED_PROC)],
    ids=lambda case: case.name,
)
def test_bytes_are_as_recorded(case: Case, place: Place, tmp_path: Path) -> None:
    run_and_check(case, place, tmp_path)


@pytest.mark.parametrize("command", ["serve", "cache", "pkg", "run", "metadata", "inspect"])
def test_commands_are_there(dolmen: Dolmen, command: str) -> None:
    done = dolmen.run(command, "--help", env={"PYTHONPATH": str(WITHOUT_LINUX)})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["assembler.serve", "assembler.machine", "assembler.dockerfile"])
def test_modules_are_imported(module: str) -> None:
    code = f"import {module} as m; [getattr(m, name) for name in m.__all__]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_images_are_pushed_and_pulled(dolmen: Dolmen, tmp_path: Path) -> None:
    source, other = Store(tmp_path / "source"), tmp_path / "other"
    painter = Painter(source)
    top = painter.image([{"large": noise(7, 3_000_000)}, {"small": b"x"}], AMD64)
    env = {"PYTHONPATH": str(WITHOUT_LINUX)}
    with registry_server(tmp_path / "server") as server:
        name = server.name("app:1")
        source.put(name, top)
        for store, command in ((source.root, "push"), (other, "pull")):
            done = dolmen.run("--cache", store, "cache", command, name, env=env)
            assert done.returncode == 0, done.stderr
    assert [e.descriptor.digest for e in Store(other).names().entries] == [top.digest]
    for command in (("verify",), ("clean",), ("ls",)):
        done = dolmen.run("--cache", other, "cache", *command, env=env)
        assert done.returncode == 0, done.stderr
    exported = []
    for number, variables in enumerate((env, {})):
        out = tmp_path / f"{number}.tar"
        words = ("cache", "export", name, "--format", "filesystem", "-o", out)
        done = dolmen.run("--cache", other, *words, env=variables)
        assert done.returncode == 0, done.stderr
        exported.append(out.read_bytes())
    assert exported[0] == exported[1]
