"""The Python API: every example of its page runs, and its names are those of the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dolmen
from assembler.build.options import BuildKeywords
from assembler.catalog import catalog_directory
from assembler.oci.store import Store
from assembler.packages import hash_directory
from support.archives import E, directory, image
from support.guests import needs_qemu
from support.loaders import loader_files
from support.workloads import add_boot_images

if TYPE_CHECKING:
    from support.booting import System

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
YAML = (
    "kernel: {image: 'made/kernel:1', tar: none, cmdline: 'console=ttyS0'}\ninit: ['made/root:1']\n"
)
# Its examples boot a machine.
BOOTS = "Run a machine"
_BLOCK = re.compile(
    r"^## (?P<title>[^\n]+)\n|^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


def examples() -> list[tuple[str, str]]:
    """Return the examples of the page with the headings above them."""
    title, found = "", []
    for match in _BLOCK.finditer(PAGE.read_text()):
        title = match["title"] or title
        if match["code"]:
            found.append((title, match["code"]))
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a home directory whose store has the images of YAML, and boot loaders."""
    home = tmp_path / "home"
    store = Store(home / ".cache" / "dolmen")
    add_boot_images(store)
    image(store, "made/root:1", (directory("etc"), E("init", b"#!/bin/sh\n", mode=0o755)))
    loaders = f"dolmen/bootloaders:{hash_directory(catalog_directory('bootloaders'))}"
    image(store, loaders, tuple(loader_files()))
    work = tmp_path / "work"
    work.mkdir()
    (work / "image.yml").write_text(YAML)
    return home


def run_python(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a program beside image.yml."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=home.parent / "work",
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("title", "code"),
    [
        pytest.param(title, code, id=f"{number} {title}")
        for number, (title, code) in enumerate(examples())
        if title != BOOTS
    ],
)
def test_an_example_of_the_page_runs(title: str, code: str, home: Path) -> None:
    done = run_python(code, home)
    assert done.returncode == 0, f"{title}: {done.stderr}"
    assert done.stderr == ""


@needs_qemu
@pytest.mark.slow
@pytest.mark.boot
@pytest.mark.parametrize("code", [code for title, code in examples() if title == BOOTS])
def test_an_example_of_the_page_boots(code: str, tmp_path: Path, tiny_system: System) -> None:
    (tmp_path / "home").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    for part in ("kernel", "initrd.img", "cmdline"):
        (work / f"image-{part}").symlink_to(tiny_system.prefix.with_name(f"image-{part}"))
    done = run_python(code, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    expected = "timed-out" if "machine.run(" in code else "answers at"
    assert expected in done.stdout


def test_the_first_example_prints_each_output(home: Path) -> None:
    done = run_python(examples()[0][1], home)
    names = []
    for path, size, digest in map(str.split, done.stdout.splitlines()):
        out = home.parent / "work" / path
        names.append(out.name)
        assert int(size) == out.stat().st_size
        assert re.fullmatch("[0-9a-f]{64}", digest)
    assert names == ["image-efi.img", "image-pcrs.json"]


def test_the_page_names_every_exported_name() -> None:
    page = PAGE.read_text()
    missing = [n for n in dolmen.__all__ if not re.search(rf"\b{n}\b", page)]
    assert missing == []


def test_every_exported_name_exists() -> None:
    for name in dolmen.__all__:
        assert getattr(dolmen, name) is not None
    assert set(dir(dolmen)) == set(dolmen.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dolmen.nothing  # type: ignore[attr-defined]


def test_the_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, dolmen; "
        "heavy = {'typer', 'rich', 'requests', 'ruamel', 'cryptography', 'docker', 'jsonschema'}; "
        "sys.exit(str(heavy & {m.partition('.')[0] for m in sys.modules} or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_keyword_arguments_are_the_fields_of_the_options() -> None:
    fields = set(dolmen.BuildOptions.__dataclass_fields__)
    assert set(BuildKeywords.__annotations__) == fields


def test_two_builds_in_two_threads_do_not_disturb_each_other(home: Path, tmp_path: Path) -> None:
    sources = dolmen.ImageSources(store=home / ".cache" / "dolmen", offline=True)
    yaml = home.parent / "work" / "image.yml"
    results: dict[str, dolmen.BuildResult] = {}
    messages: dict[str, list[str]] = {"gzip": [], "none": []}

    def build(compression: str) -> None:
        def note(event: dolmen.Event) -> None:
            if isinstance(event, dolmen.TaskStarted):
                messages[compression].append(event.title)

        results[compression] = dolmen.build(
            yaml,
            sources=sources,
            compression=compression,
            directory=tmp_path / compression,
            formats=["kernel+initrd", "tar-kernel-initrd"],
            progress=note,
        )

    threads = [threading.Thread(target=build, args=(name,)) for name in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for compression in messages:
        alone = dolmen.build(
            yaml,
            sources=sources,
            compression=compression,
            directory=tmp_path / "alone" / compression,
            formats=["kernel+initrd", "tar-kernel-initrd"],
        )
        assert [o.sha256 for o in results[compression].outputs] == [o.sha256 for o in alone.outputs]


def test_a_build_reads_no_environment_variable(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOLMEN_CACHE", str(tmp_path / "wrong"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "nonsense")
    monkeypatch.setenv("DOLMEN_REGISTRY_CREDS", "nonsense")
    result = dolmen.build(
        home.parent / "work" / "image.yml",
        sources=dolmen.ImageSources(store=home / ".cache" / "dolmen", offline=True),
        directory=tmp_path,
    )
    assert [o.role for o in result.outputs] == ["kernel", "initrd", "cmdline"]
    assert not (tmp_path / "wrong").exists()


def test_an_unchanged_build_returns_the_same_result(home: Path, tmp_path: Path) -> None:
    sources = dolmen.ImageSources(store=home / ".cache" / "dolmen", offline=True)
    yaml = home.parent / "work" / "image.yml"
    first = dolmen.build(yaml, sources=sources, directory=tmp_path)
    second = dolmen.build(yaml, sources=sources, directory=tmp_path)
    assert not first.unchanged
    assert second.unchanged
    assert second.as_json() == first.as_json() | {"unchanged": True}
