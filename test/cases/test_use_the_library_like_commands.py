"""Each command is a function of the API: both give the same data."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

import dolmen as api
from assembler.oci import Store
from dolmen import packages
from support.archives import E, directory, image
from support.guests import needs_qemu
from support.workloads import add_boot_images

if TYPE_CHECKING:
    from pathlib import Path

    from support.booting import System
    from support.cli import Dolmen

YAML = """\
kernel: {image: 'made/kernel:1', tar: none, cmdline: 'console=ttyS0'}
init: ['made/root:1']
onboot: [{name: only, image: 'made/root:1', command: [/init]}]
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a directory with a YAML file, and a store with its images."""
    store = Store(tmp_path / "store")
    add_boot_images(store)
    image(store, "made/root:1", (directory("etc"), E("init", b"#!/bin/sh\n", mode=0o755)))
    work = tmp_path / "work"
    work.mkdir()
    (work / "image.yml").write_text(YAML)
    return work


def command(dolmen: Dolmen, work: Path, *words: str | Path, status: int = 0) -> Any:
    """Run a command that prints JSON, and return what it prints."""
    done = dolmen.run("--cache", work.parent / "store", *words, "--json", cwd=work)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def sources(work: Path) -> api.ImageSources:
    """Return the sources that the commands use."""
    return api.ImageSources(store=work.parent / "store", offline=True)


def test_build(dolmen: Dolmen, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = command(
        dolmen, work, "build", "--offline", "--dir", "a", "--format", "kernel+initrd", "image.yml"
    )
    monkeypatch.chdir(work)
    result = api.build(
        "image.yml", formats=["kernel+initrd"], directory="b", sources=sources(work)
    ).as_json()
    for output in printed["outputs"]:
        output["path"] = output["path"].replace("a/", "b/")
    assert result | {"seconds": {}} == printed | {"seconds": {}}
    assert set(result["seconds"]) == set(printed["seconds"])


def test_a_build_that_fails(dolmen: Dolmen, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "image.yml").write_text(YAML.replace("made/root:1", "made/missing:1", 1))
    printed = command(dolmen, work, "build", "--offline", "image.yml", status=1)
    monkeypatch.chdir(work)
    with pytest.raises(api.ImageError) as caught:
        api.build("image.yml", sources=sources(work))
    assert [d.as_json() for d in caught.value.diagnostics] == printed["errors"]


def test_validate(dolmen: Dolmen, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "wrong.yml").write_text("kernel: {image: 'a:1'}\ninits: [b]\n")
    monkeypatch.chdir(work)
    for name, status in (("image.yml", 0), ("wrong.yml", 1)):
        printed = command(dolmen, work, "validate", name, status=status)
        result = api.validate(name)
        assert result.as_json() == printed
        assert result.valid == (not status)


def test_the_merged_yaml(dolmen: Dolmen, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "site.yml").write_text("files: [{path: etc/site, contents: here}]\n")
    done = dolmen.run("build", "--dry-run", "image.yml", "site.yml", cwd=work)
    monkeypatch.chdir(work)
    assert api.merged_yaml(["image.yml", "site.yml"]) == done.stdout


def test_pkg_build_and_show_tag(dolmen: Dolmen, work: Path) -> None:
    app = work / "app"
    app.mkdir()
    (app / "build.yml").write_text("image: app\norg: example\narches: [amd64]\n")
    (app / "Dockerfile").write_text("FROM scratch\nCOPY build.yml /\n")
    store = ("--cache", work.parent / "store")
    built = dolmen.run(*store, "pkg", "build", "--offline", "--hash", "1", app)
    named = dolmen.run(*store, "pkg", "show-tag", "--hash", "1", app)
    options = packages.PackageBuildOptions(
        naming=packages.Naming(hash="1"), sources=sources(work), force=True
    )
    result = packages.build(app, options)
    result.check()
    assert [p.name for p in result.packages] == built.stdout.split()
    assert [str(name) for name in packages.names(app, options)] == named.stdout.split()
    # Built twice, once by each way: the same bytes, so one digest.
    entries = Store(work.parent / "store").names().entries
    assert len({e.descriptor.digest for e in entries if str(e.name).endswith("example/app:1")}) == 1


def test_inspect(dolmen: Dolmen, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    (built,) = api.build(
        "image.yml", formats=["tar"], sources=sources(work), output=work / "a.tar"
    ).outputs
    assert built.path is not None
    printed = command(dolmen, work, "inspect", built.path)
    assert {"path": str(built.path), **api.inspect_file(built.path).as_json()} == printed


def test_doctor(dolmen: Dolmen, work: Path) -> None:
    printed = command(dolmen, work, "doctor")
    found = api.machine.check_host(work.parent / "store")
    assert [finding.name for finding in found] == [finding["name"] for finding in printed]


def test_new(dolmen: Dolmen, work: Path) -> None:
    (work / "a").mkdir()
    (work / "b").mkdir()
    assert dolmen.run("new", "image.yml", cwd=work / "a").returncode == 0
    api.write_new_file(work / "b" / "image.yml")
    assert (work / "a" / "image.yml").read_text() == (work / "b" / "image.yml").read_text()


def test_serve(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    api.build("image.yml", sources=sources(work))
    listings = []
    with api.Server(api.ServeOptions(directory=work, port=0)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        listings.append(urlopen(f"{server.address}/image.ipxe").read())  # noqa: S310
        server.shutdown()
        thread.join()
    port = free_port()
    words = [sys.executable, "-m", "dolmen", "serve", "--port", str(port)]
    with subprocess.Popen(words, cwd=work, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        address = served.stderr.readline().split()[-1]
        listings.append(urlopen(f"{address}/image.ipxe").read())  # noqa: S310
        served.send_signal(signal.SIGINT)
    assert listings[0] == listings[1]


@needs_qemu
@pytest.mark.slow
@pytest.mark.boot
def test_run(dolmen: Dolmen, tiny_system: System, tmp_path: Path) -> None:
    image_path = tiny_system.prefix
    words = ("--mem", "256", "--wait-for", "the system is up", "--once")
    options = api.machine.RunOptions(
        memory=256, wait_for="the system is up", once=True, state=tmp_path / "state"
    )
    result = api.machine.run(image_path, options)
    assert result.outcome is api.machine.RunOutcome.READY
    assert not result.running
    done = dolmen.run("run", "qemu", *words, image_path)
    assert done.returncode == 0, done.stderr
