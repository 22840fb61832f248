"""A user installs the wheel: the API, its types, and the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from assembler.catalog import catalog_directory
from assembler.oci import Store
from assembler.packages import hash_directory
from support.archives import E, directory, image
from support.loaders import loader_files
from support.workloads import add_boot_images

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "library" / "appliance.py"
YAML = """\
kernel: {image: 'made/kernel:1', tar: none, cmdline: 'console=ttyS0'}
init: ['made/root:1']
"""
_FIRST_EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the Python of a fresh virtual environment with the wheel in it.

    The libraries that Dolmen depends on are those of this environment.
    """
    root = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", root, REPOSITORY]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = root.glob("dolmen-*.whl")
    venv = root / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    site = next((venv / "lib").glob("python3*/site-packages"))
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    # A path of a .pth file is searched, but its own .pth files are not read: the checkout that
    # is installed there in development mode stays out.
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return venv / "bin" / "python"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a directory with image.yml, and a home whose store has its images."""
    store = Store(tmp_path / "home" / ".cache" / "dolmen")
    add_boot_images(store)
    image(store, "made/root:1", (directory("etc"), E("init", b"#!/bin/sh\n", mode=0o755)))
    loaders = f"dolmen/bootloaders:{hash_directory(catalog_directory('bootloaders'))}"
    image(store, loaders, tuple(loader_files()))
    work = tmp_path / "work"
    work.mkdir()
    (work / "image.yml").write_text(YAML)
    return work


def run(python: Path, work: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python away from the checkout."""
    return subprocess.run(
        [python, *words],
        cwd=work,
        env={"HOME": str(work.parent / "home"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installed_modules_are_those_of_the_wheel(installed: Path, work: Path) -> None:
    code = "import dolmen, assembler; print(dolmen.__file__, assembler.__file__)"
    done = run(installed, work, "-c", code)
    for path in done.stdout.split():
        assert Path(path).is_relative_to(installed.parent.parent)


def test_five_lines_build_a_disk(installed: Path, work: Path) -> None:
    page = (REPOSITORY / "docs" / "library.md").read_text()
    first = _FIRST_EXAMPLE.search(page)
    assert first is not None
    done = run(installed, work, "-c", first[1])
    assert done.returncode == 0, done.stderr
    for path, size, digest in map(str.split, done.stdout.splitlines()):
        assert (work / path).stat().st_size == int(size)
        assert re.fullmatch("[0-9a-f]{64}", digest)


def test_the_example_project_runs_and_has_the_right_types(installed: Path, work: Path) -> None:
    done = run(installed, work, EXAMPLE, "image.yml")
    assert done.returncode == 0, done.stderr
    report = json.loads((work / "report.json").read_text())
    assert set(report["images"]) == {"docker.io/made/kernel:1", "docker.io/made/root:1"}
    assert len(report["files"]) == 4
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed, EXAMPLE],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout.startswith("Success"), checked.stdout


def test_a_wrong_type_is_found_in_a_program_that_uses_the_wheel(
    installed: Path, work: Path
) -> None:
    (work / "wrong.py").write_text("import dolmen\n\ndolmen.build('image.yml', formats=7)\n")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed, "wrong.py"],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Argument "formats" to "build" has incompatible type' in checked.stdout


def test_the_command_is_installed(installed: Path, work: Path) -> None:
    done = run(installed, work, "-m", "dolmen", "build", "--offline", "image.yml")
    assert done.returncode == 0, done.stderr
    assert (work / "image-initrd.img").exists()
