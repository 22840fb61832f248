"""A user builds images of packages from Debian's own archive."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import Platform, host_platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from support.recipes import Packages, needs_apt

if TYPE_CHECKING:
    from support.cli import Dolmen

pytestmark = [pytest.mark.slow, needs_apt]
REPOSITORY = Path(__file__).parents[2]
BUSYBOX = """
image: busybox
arches: [amd64, arm64]
debs: {suite: trixie, packages: [busybox-static], links: {/usr/bin/sh: busybox}}
"""
_NO_ARCHIVE = ("DM0721", "DM0722", "DM0725")


@pytest.fixture
def work(tmp_path: Path, pytestconfig: pytest.Config) -> Path:
    """Give a directory whose stores share the packages that earlier runs have fetched."""
    assert pytestconfig.cache is not None
    pool = pytestconfig.cache.mkdir("debs") / "pool"
    pool.mkdir(exist_ok=True)
    for engine in ("apt", "python"):
        store = Store(tmp_path / engine)
        store.layout.prepare()
        debs = store.root / "debs"
        debs.mkdir()
        (debs / "pool").symlink_to(pool)
    return tmp_path


def packages(dolmen: Dolmen, work: Path, engine: str) -> Packages:
    """Return `dolmen pkg` with the archives of this machine."""
    pkg = Packages(dolmen, work, work / engine, engine)
    del pkg.env["DOLMEN_DEBIAN_MIRROR"]
    return pkg


def build(pkg: Packages, *words: str | Path) -> list[str]:
    # Nothing is looked up in a registry if it is to be built in any case.
    done = pkg.run("build", "--force", *words)
    if done.returncode and any(code in done.stderr for code in _NO_ARCHIVE):
        pytest.skip(f"no archive of Debian can be reached here: {done.stderr[-400:]}")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_program(dolmen: Dolmen, work: Path) -> None:
    package = work / "busybox"
    package.mkdir()
    (package / "build.yml").write_text(BUSYBOX)
    pkg = packages(dolmen, work, "apt")
    (name,) = build(pkg, package)
    for arch, machine in (("amd64", 62), ("arm64", 183)):
        layer = pkg.layer(name, arch)
        file = layer.extractfile("usr/bin/busybox")
        assert file is not None
        program = file.read()
        assert (program[:4], int.from_bytes(program[18:20], "little")) == (b"\x7fELF", machine)
        assert "usr/share/doc/busybox-static/copyright" in layer.getnames()
        if Platform("linux", arch) == host_platform():
            here = work / "there" / "busybox"
            here.parent.mkdir()
            here.write_bytes(program)
            here.chmod(0o755)
            command = [here, "echo", "hello"]
            assert subprocess.run(command, check=True, capture_output=True).stdout == b"hello\n"


def test_the_same_images_with_apt_and_without(dolmen: Dolmen, work: Path) -> None:
    recipes = [REPOSITORY / "pkg" / name for name in ("runc", "nginx")]
    amd64 = Platform("linux", "amd64")
    digests = []
    for engine in ("apt", "python"):
        pkg = packages(dolmen, work, engine)
        names = build(pkg, "--platforms", str(amd64), "--hash", "h", *recipes)
        store = Store(pkg.store)
        digests.append([find_image(store, Reference.parse(name), amd64).digest for name in names])
    assert digests[0] == digests[1]
    image = find_image(Store(work / "python"), Reference.parse(names[0]), amd64)
    chosen = {line.split(" ")[0] for line in image.manifest.annotations["dolmen.debs"].split("; ")}
    # What is excluded stays away, though others are of the same source.
    assert chosen == {"libc6", "libgcc-s1", "libseccomp2", "runc"}


def test_a_kernel_with_its_modules(dolmen: Dolmen, work: Path) -> None:
    pkg = packages(dolmen, work, "python")
    recipe = REPOSITORY / "kernel" / "virtual"
    (name,) = build(pkg, "--platforms", "linux/amd64", "--hash", "h", recipe)
    layer = pkg.layer(name)
    assert {"kernel", "kernel-config", "kernel.tar"} <= set(layer.getnames())
    kernel, modules = layer.extractfile("kernel"), layer.extractfile("kernel.tar")
    assert kernel is not None
    assert modules is not None
    assert kernel.read()[0x202:0x206] == b"HdrS"
    with tarfile.open(fileobj=io.BytesIO(modules.read())) as tar:
        paths = tar.getnames()
        (index,) = (p for p in paths if p.endswith("/modules.dep"))
        listed = tar.extractfile(index)
        assert listed is not None
        depends = dict(line.split(b":", 1) for line in listed.read().splitlines())
    found = {path.rpartition("/")[2].partition(".")[0] for path in paths if ".ko" in path}
    assert {"virtio_blk", "virtio_net", "overlay", "squashfs"} <= found
    assert any(b"net_failover" in d for path, d in depends.items() if b"virtio_net" in path)
