"""Other tools read the store and its archives, and Dolmen reads theirs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.events import NullReporter
from assembler.oci import media_types
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, verify_store
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from support.cli import Dolmen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed"),
]
NAME = "docker.io/library/x:1"
X = Reference.parse(NAME)
RISCV = Platform("linux", "riscv64")


def skopeo(*arguments: str | Path) -> str:
    command = ["skopeo", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "no descriptor found for reference" in done.stderr and _speaks_docker(arguments):
        pytest.skip("this skopeo does not see Docker's media types in a layout")
    assert done.returncode == 0, done.stderr
    return done.stdout


def _speaks_docker(arguments: tuple[str | Path, ...]) -> bool:
    layouts = [str(a).split(":")[1] for a in arguments if str(a).startswith("oci:")]
    entries = [e for path in layouts for e in Store(Path(path)).names().entries]
    return any("docker" in e.descriptor.media_type for e in entries)


@pytest.fixture(params=["oci-gzip", "oci-zstd", "oci-none", "docker-gzip"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give a store with x:1 for three platforms, and flat:1 for one."""
    family, compression = request.param.split("-")
    store = Store(tmp_path / "cache")
    painter = Painter(store, docker=family == "docker", compression=compression)
    made = [
        painter.image([{"base": b"b"}, {"a": str(p).encode()}], p) for p in (AMD64, ARM64, RISCV)
    ]
    store.put(X, painter.index(*made))
    store.put("docker.io/library/flat:1", made[0])
    return store


def test_skopeo_reads_the_store(store: Store, tmp_path: Path) -> None:
    skopeo("copy", "--all", f"oci:{store.root}:{NAME}", f"dir:{tmp_path}/all")
    skopeo("copy", f"oci:{store.root}:docker.io/library/flat:1", f"dir:{tmp_path}/flat")
    listed = json.loads(skopeo("inspect", "--raw", f"oci:{store.root}:{NAME}"))
    assert [m["platform"]["architecture"] for m in listed["manifests"]] == [
        "amd64",
        "arm64",
        "riscv64",
    ]


def test_skopeo_writes_into_the_store(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    own = Painter(other).image({"own": b"1"})
    other.put("docker.io/library/own:1", own)
    skopeo("copy", "--all", f"oci:{store.root}:{NAME}", f"oci:{other.root}:{NAME}")
    skopeo("copy", f"oci:{store.root}:{NAME}", f"oci:{other.root}:docker.io/library/one:1")
    for platform in (AMD64, ARM64, RISCV):
        assert find_image(other, X, platform).config == find_image(store, X, platform).config
    assert find_image(other, Reference.parse("one:1"), AMD64)
    assert find_image(other, Reference.parse("own:1"), AMD64).digest == own.digest
    assert verify_store(other, NullReporter()).clean


def test_skopeo_reads_archives(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    for kind, transport in (("oci", "oci-archive"), ("docker", "docker-archive")):
        archive = tmp_path / f"{kind}.tar"
        dolmen.run(
            *("cache", "export", "x:1", "--format", kind, "--outfile", archive),
            *("--cache", store.root),
            check=True,
        )
        skopeo("copy", f"{transport}:{archive}", f"dir:{tmp_path}/{kind}")


def test_dolmen_imports_an_archive_of_skopeo(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    skopeo("copy", "--all", f"oci:{store.root}:{NAME}", f"oci-archive:{tmp_path}/o.tar:{NAME}")
    archives = ["o.tar"]
    if find_image(store, X, AMD64).manifest.layers[0].media_type != media_types.OCI_LAYER_ZSTD:
        # There is no zstd for Docker, says skopeo.
        skopeo("copy", f"oci:{store.root}:{NAME}", f"docker-archive:{tmp_path}/d.tar:y:1")
        archives.append("d.tar")
    other = Store(tmp_path / "other")
    for archive in archives:
        dolmen.run("cache", "import", tmp_path / archive, "--cache", other.root, check=True)
    assert find_image(other, X, RISCV).config.platform == RISCV
    if "d.tar" in archives:
        assert find_image(other, Reference.parse("y:1"), AMD64).config.cmd == ("/bin/true",)
    report = verify_store(other, NullReporter())
    assert (report.problems, report.orphans) == ([], 0)


@pytest.mark.skipif(not shutil.which("umoci"), reason="umoci is not installed")
def test_umoci_unpacks_the_store(store: Store, tmp_path: Path) -> None:
    manifest = find_image(store, X, AMD64).manifest
    if "docker" in manifest.media_type or "zstd" in manifest.layers[0].media_type:
        pytest.skip("umoci knows neither Docker's media types nor zstd")
    # umoci takes the part behind the last colon for the tag.
    store.put("flat", store.names().entries[1].descriptor)
    command = ["umoci", "unpack", "--image", f"{store.root}:flat", str(tmp_path / "bundle")]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "bundle" / "rootfs" / "a").read_bytes() == b"linux/amd64"
