"""A user pushes to a real registry; other tools read the images, and Dolmen reads theirs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from assembler.events import NullReporter
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, verify_store
from support.faulty_registry import noise
from support.pictures import AMD64, ARM64, Painter
from support.registry_server import LOGIN, RegistryServer, registry_server
from support.skopeo import skopeo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.oci.manifest import Descriptor
    from support.cli import Dolmen

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Kind:
    """A kind of image: its media types, its layers' compression, whether for several platforms."""

    types: str
    compression: str
    several: bool

    def __str__(self) -> str:
        """Return a name that can be part of a repository's."""
        return f"{self.types}-{self.compression}-{'several' if self.several else 'one'}"

    @property
    def everything(self) -> list[str]:
        """Return what makes skopeo copy all of it."""
        return ["--all"] if self.several else []


KINDS = pytest.mark.parametrize(
    "kind",
    [
        Kind(types, compression, several)
        for types, compression in (("docker", "gzip"), ("oci", "gzip"), ("oci", "zstd"))
        for several in (False, True)
    ],
    ids=str,
)
ONE, SEVERAL = Kind("oci", "gzip", several=False), Kind("oci", "gzip", several=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """Give a registry without images."""
    with registry_server(tmp_path_factory.mktemp("server")) as made:
        yield made


def painted(root: Path, kind: Kind) -> tuple[Store, Descriptor]:
    """Make an image in a store of its own."""
    store = Store(root)
    painter = Painter(store, docker=kind.types == "docker", compression=kind.compression)
    platforms = (AMD64, ARM64) if kind.several else (AMD64,)
    base = {"base": noise(7, 30_000)}
    made = [painter.image([base, {str(p): noise(n, 90_000)}], p) for n, p in enumerate(platforms)]
    return store, painter.index(*made) if kind.several else made[0]


def at(server: RegistryServer, name: str) -> str:
    """Return the digest of what the registry has under a name."""
    data = skopeo("inspect", "--raw", f"docker://{name}", server=server)
    return "sha256:" + hashlib.sha256(data.encode()).hexdigest()


@KINDS
def test_skopeo_reads_a_pushed_image(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path, kind: Kind
) -> None:
    store, top = painted(tmp_path / "store", kind)
    name = server.name(f"pushed/{kind}:1")
    store.put(name, top)
    done = dolmen.run("--cache", store.root, "cache", "push", name)
    assert done.returncode == 0, done.stderr
    assert at(server, name) == top.digest
    # skopeo checks every digest on the way.
    skopeo("copy", *kind.everything, f"docker://{name}", f"dir:{tmp_path / 'out'}", server=server)


@KINDS
def test_an_image_pushed_by_skopeo_is_pulled_and_exported(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path, kind: Kind
) -> None:
    source, top = painted(tmp_path / "source", kind)
    source.put("app", top)
    name = server.name(f"copied/{kind}:1")
    # Without a name: skopeo finds only what has OCI's media types by its name in a layout.
    skopeo("copy", *kind.everything, f"oci:{source.root}", f"docker://{name}", server=server)
    store = Store(tmp_path / "store")
    done = dolmen.run("--cache", store.root, "cache", "pull", name)
    assert done.returncode == 0, done.stderr
    image = find_image(store, Reference.parse(name), AMD64)
    assert (image.index.digest if image.index else image.digest) == at(server, name)
    assert verify_store(store, NullReporter()).clean
    layout = f"oci:{store.root}" + (f":{name}" if kind.types == "oci" else "")
    skopeo("copy", *kind.everything, layout, f"dir:{tmp_path / 'out'}")


def test_existing_blobs_are_not_sent_again(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path
) -> None:
    store, top = painted(tmp_path / "store", ONE)
    first, second, near = (server.name(n) for n in ("again/app:1", "again/app:2", "near/app:1"))
    for name in (first, second, near):
        store.put(name, top)
    outcomes = [
        dolmen.run("--cache", store.root, "cache", "push", name, check=True).stderr
        for name in (first, first, second, near)
    ]
    assert outcomes[0].count(": pushed ") == 3, outcomes[0]
    assert outcomes[1].splitlines() == [f"{first}: there already, {top.digest}"]
    assert outcomes[2].count(": there ") == 3, outcomes[2]
    assert outcomes[3].count(": mounted ") == 3, outcomes[3]
    assert at(server, near) == top.digest


def test_a_tag_is_not_replaced_without_override(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path
) -> None:
    _, old = painted(tmp_path / "store", ONE)
    store, new = painted(tmp_path / "store", SEVERAL)
    name = server.name("taken/app:1")
    store.put(name, old)
    dolmen.run("--cache", store.root, "cache", "push", name, check=True)
    store.put(name, new)
    done = dolmen.run("--cache", store.root, "cache", "push", name)
    assert done.returncode == 1
    assert f"{name} stands for another image there, {old.digest}" in done.stderr
    assert "--override" in done.stderr
    assert at(server, name) == old.digest
    done = dolmen.run("--cache", store.root, "cache", "push", "--override", name)
    assert done.returncode == 0, done.stderr
    assert at(server, name) == new.digest


def test_another_name_and_a_tag_for_each_architecture(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path
) -> None:
    store, top = painted(tmp_path / "store", SEVERAL)
    store.put("docker.io/org/app:1", top)
    remote = server.name("elsewhere/app:2")
    done = dolmen.run(
        *["--cache", store.root, "cache", "push", "--with-arch-tags"],
        *["--remote-name", remote, "org/app:1"],
    )
    assert done.returncode == 0, done.stderr
    listed = json.loads(store.path(top.digest).read_bytes())["manifests"]
    assert at(server, remote) == top.digest
    assert at(server, f"{remote}-amd64") == listed[0]["digest"]
    assert at(server, f"{remote}-arm64") == listed[1]["digest"]


def test_an_incomplete_image(dolmen: Dolmen, server: RegistryServer, tmp_path: Path) -> None:
    source, top = painted(tmp_path / "source", SEVERAL)
    name = server.name("partly/app:1")
    source.put(name, top)
    dolmen.run("--cache", source.root, "cache", "push", name, check=True)
    store = Store(tmp_path / "store")
    dolmen.run("--cache", store.root, "cache", "pull", "--platform", "arm64", name, check=True)
    # There it is all there.
    same = dolmen.run("--cache", store.root, "cache", "push", "--remote-name", f"{name}1", name)
    assert same.returncode == 0, same.stderr
    # Elsewhere it would not be.
    other = server.name("wholly/app:1")
    done = dolmen.run("--cache", store.root, "cache", "push", "--remote-name", other, name)
    assert done.returncode == 1
    assert "error[DM0318]" in done.stderr
    assert "linux/amd64" in done.stderr
    done = dolmen.run("--cache", store.root, "cache", "push", name + "x")
    assert done.returncode == 1
    assert "is not in the store" in done.stderr


def test_a_registry_with_a_login(dolmen: Dolmen, tmp_path: Path) -> None:
    store, top = painted(tmp_path / "store", ONE)
    with registry_server(tmp_path / "server", login=True, tls=True) as server:
        name = server.name("private/app:1")
        store.put(name, top)
        command = ["--cache", store.root, "--cert-file", str(server.ca_file), "cache", "push"]
        done = dolmen.run(*command, name)
        assert done.returncode == 1
        assert "error[DM0304]" in done.stderr
        done = dolmen.run(*command, "--registry-creds", f"{server.host}={LOGIN}", name)
        assert done.returncode == 0, done.stderr
        assert at(server, name) == top.digest
