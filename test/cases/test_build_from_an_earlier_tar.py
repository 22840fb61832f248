"""`--input-tar`: building from the tar of an earlier build if images are unavailable."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.archives import E, image
from support.workloads import rich_project, rich_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Dolmen

YAML = """\
kernel: {image: 'example/kernel:6.1', cmdline: quiet}
init: ['example/init:v1', 'example/runc:v1']
volumes: [{name: data, image: 'example/voldata:1'}]
onboot: [{name: a, image: 'example/plain:1', command: [run]}]
services: [{name: b, image: 'example/onlycmd:1', binds: ['data:/data']}]
files: [{path: etc/motd, contents: hello}]
"""


@dataclass(frozen=True)
class Place:
    """A directory, and the store that is used in it."""

    dolmen: Dolmen
    directory: Path
    store: Path

    def build(self, *words: str | Path, status: int = 0, json: bool = False) -> str:
        """Build image.yml offline, and return what was said."""
        run = self.dolmen.run(
            *("build", "--offline", "--arch", "amd64", *words, "image.yml"),
            cwd=self.directory,
            env={"DOLMEN_CACHE": str(self.store)},
        )
        assert run.returncode == status, run.stderr
        assert "Traceback" not in run.stderr
        return run.stdout if json else run.stderr

    def write(self, text: str) -> None:
        """Write image.yml."""
        (self.directory / "image.yml").write_text(text)

    def outputs(self, *names: str) -> list[bytes]:
        """Return the outputs."""
        return [(self.directory / name).read_bytes() for name in names]


@pytest.fixture
def here(dolmen: Dolmen, conformance_layout: Path, tmp_path: Path) -> Place:
    """Give a place with all images, and earlier.tar of a build there."""
    shutil.copytree(conformance_layout, tmp_path / "store")
    (tmp_path / "here").mkdir()
    place = Place(dolmen, tmp_path / "here", tmp_path / "store")
    place.write(YAML)
    place.build("--format", "tar", "--name", "earlier")
    return place


@pytest.fixture
def there(here: Place, tmp_path: Path) -> Place:
    """Give a place with the same tar, and no image at all."""
    (tmp_path / "there").mkdir()
    place = replace(here, directory=tmp_path / "there", store=tmp_path / "empty")
    place.write(YAML)
    shutil.copy(here.directory / "earlier.tar", place.directory)
    return place


FROM = ("--input-tar", "earlier.tar")


def test_a_build_without_images_has_the_same_bytes(here: Place, there: Place) -> None:
    said = there.build(*FROM, "--format", "tar")
    assert "docker.io/example/plain:1 cannot be had: it is taken from earlier.tar" in said
    assert there.outputs("image.tar") == here.outputs("earlier.tar")
    here.build()
    there.build(*FROM)
    names = ("image-kernel", "image-initrd.img", "image-cmdline")
    assert there.outputs(*names) == here.outputs(*names)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--decompress-kernel"], ["--compression", "zstd"]])
def test_a_full_system_has_the_same_bytes(
    options: list[str], dolmen: Dolmen, conformance_layout: Path, tmp_path: Path
) -> None:
    store = rich_store(conformance_layout, tmp_path / "store")
    here = Place(dolmen, rich_project(tmp_path / "here"), store.root)
    text = (here.directory / "image.yml").read_text()
    text = "\n".join(x for x in text.splitlines() if "format: oci" not in x)
    text = text.replace("example/kernel:6.1", "example/kernel:gz").replace(
        "example/init:v1", "example/init:v1', 'example/attested:1', 'example/spdx-one:1"
    )
    here.write(text)
    formats = ("kernel+initrd", "tar-kernel-initrd")
    here.build(*options, "--format", "tar", "--name", "earlier")
    here.build(*options, "--format", ",".join(formats))
    there = Place(dolmen, rich_project(tmp_path / "there"), tmp_path / "empty")
    there.write(text)
    shutil.copy(here.directory / "earlier.tar", there.directory)
    there.build(*FROM, *options, "--format", "tar", "--name", "again")
    assert there.outputs("again.tar") == here.outputs("earlier.tar")
    there.build(*FROM, *options, "--format", ",".join(formats))
    names = ("image-kernel", "image-initrd.img", "image-initrd.tar")
    assert there.outputs(*names) == here.outputs(*names)
    # What was taken stands in for what it was taken from.
    there.build("--input-tar", "again.tar", *options, "--format", "tar", "--name", "thrice")
    assert there.outputs("thrice.tar") == here.outputs("earlier.tar")


@pytest.mark.slow
def test_a_system_without_a_kernel(here: Place, there: Place) -> None:
    text = YAML[YAML.index("init:") :]
    for place in (here, there):
        place.write(text)
    here.build("--format", "tar", "--name", "earlier")
    shutil.copy(here.directory / "earlier.tar", there.directory)
    there.build(*FROM, "--format", "tar")
    assert there.outputs("image.tar") == here.outputs("earlier.tar")


@pytest.mark.slow
def test_the_yaml_may_change(here: Place, there: Place) -> None:
    changed = YAML.replace("[run]", "[walk, slowly]").replace("hello", "hullo")
    # Other names, sections and rules for the trees: the images are the same.
    changed = changed.replace("name: b,", "name: c, readonly: true,").replace("onboot", "services")
    changed = changed.replace("services: [{name: c", "onboot: [{name: c").replace("quiet", "loud")
    for place in (here, there):
        place.write(changed)
        place.build(*FROM, "--format", "tar")
        place.build(*FROM)
    for name in ("image.tar", "image-initrd.img", "image-cmdline"):
        assert there.outputs(name) == here.outputs(name)
    with tarfile.open(there.directory / "image.tar") as archive:
        file = archive.extractfile("containers/services/a/config.json")
        assert file is not None
        assert json.load(file)["process"]["args"] == ["walk", "slowly"]


@pytest.mark.slow
def test_images_in_the_store_are_preferred(there: Place) -> None:
    image(Store(there.store), "example/onlycmd:1", [E("new", b"new")], config={"Cmd": ["new"]})
    said = there.build(*FROM, "--format", "tar")
    assert "example/plain:1 cannot be had" in said
    assert "onlycmd:1 cannot be had" not in said
    with tarfile.open(there.directory / "image.tar") as archive:
        names = archive.getnames()
    assert "containers/services/b/lower/new" in names


@pytest.mark.slow
def test_an_image_that_the_tar_lacks_is_an_error(there: Place) -> None:
    there.write(
        YAML.replace("onlycmd:1", "onlycmd:2").replace("kernel:6.1'", "kernel:6.1', tar: x")
    )
    said = there.build(*FROM, status=1)
    assert "image.yml:5:" in said
    assert "docker.io/example/onlycmd:2 is not in the store" in said
    assert "earlier.tar has nothing of docker.io/example/onlycmd:2, but of" in said
    assert "plain" not in said
    there.write(YAML.replace("kernel:6.1'", "kernel:6.1', tar: modules.tar"))
    said = there.build(*FROM, status=1)
    assert "has kernel, kernel.tar of it for the kernel, not modules.tar" in said
    there.write(YAML.replace("init: ['example/init:v1',", "init: ['example/plain:1',"))
    said = there.build(*FROM, status=1)
    assert "image.yml:2:" in said
    assert "has it as a container, not as init" in said
    there.write(YAML)
    assert "is for amd64, not for arm64" in there.build(*FROM, "--arch", "arm64", status=1)


@pytest.mark.slow
def test_another_digest_of_the_same_name_is_refused(there: Place) -> None:
    store = Store(there.store)
    other = image(store, "example/onlycmd:1", [E("other", b"other")])
    store.path(other.manifest.layers[0].digest).unlink()
    said = there.build(*FROM, status=1)
    assert f"{other.digest} is wanted" in said
    digest = "sha256:" + "1" * 64
    there.write(YAML.replace("onlycmd:1", f"onlycmd@{digest}"))
    assert f"nothing of docker.io/example/onlycmd@{digest}" in there.build(*FROM, status=1)


@pytest.mark.slow
def test_pinned_images(here: Place, there: Place) -> None:
    digest = Store(here.store).names().named("docker.io/example/init:v1")[0].descriptor.digest
    text = YAML.replace("init:v1", f"init@{digest}")
    Store(here.store).put(
        f"docker.io/example/init@{digest}",
        Store(here.store).names().named("docker.io/example/init:v1")[0].descriptor,
    )
    here.write(text)
    here.build("--format", "tar", "--name", "pinned")
    there.write(text)
    shutil.copy(here.directory / "pinned.tar", there.directory)
    there.build("--input-tar", "pinned.tar", "--format", "tar")
    assert there.outputs("image.tar") == here.outputs("pinned.tar")
    # The record may say what it likes: the digest that was asked for must lead to the manifest.
    data = (there.directory / "pinned.tar").read_bytes()
    lied = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    (there.directory / "lied.tar").write_bytes(data.replace(digest.encode(), lied.encode()))
    there.write(text.replace(digest, lied))
    said = there.build("--input-tar", "lied.tar", status=1)
    assert "init" in said


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    at = data.index(b"containers/onboot/000-a/lower/bin", data.index(b"containers/onboot/000-a"))
    return data[: at + 600] + bytes([data[at + 600] ^ 1]) + data[at + 601 :]


def _without_record(data: bytes) -> bytes:
    size = int(data[124:135], 8)
    return data[512 + -(-size // 512) * 512 :]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "told"),
    [(_cut, "is damaged"), (_flip, "is damaged"), (_without_record, "no record of the images")],
)
def test_a_damaged_tar_is_refused(
    damage: Callable[[bytes], bytes], told: str, there: Place
) -> None:
    path = there.directory / "earlier.tar"
    path.write_bytes(damage(path.read_bytes()))
    said = there.build(*FROM, status=1)
    assert told in said
    assert "docker.io/example/plain:1 is not in the store" in said
    assert not list(there.directory.glob("image-*"))


@pytest.mark.slow
def test_an_invalid_tar_is_refused_even_if_unused(here: Place) -> None:
    for content in (b"", b"hello\n" * 200, b"\x1f\x8b" + bytes(2000)):
        (here.directory / "no.tar").write_bytes(content)
        said = here.build("--input-tar", "no.tar", status=2)
        assert "no.tar is not a tar archive" in said
    # A tar of somebody else is one, and of no use where images lack.
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    (here.directory / "no.tar").write_bytes(out.getvalue())
    here.build("--input-tar", "no.tar")


@pytest.mark.slow
def test_the_kernel_is_unpacked_or_not(here: Place, there: Place) -> None:
    text = YAML.replace("kernel:6.1", "kernel:gz")
    for place in (here, there):
        place.write(text)
    here.build("--format", "tar", "--name", "plain", "--decompress-kernel")
    shutil.copy(here.directory / "plain.tar", there.directory)
    said = there.build("--input-tar", "plain.tar", status=1)
    assert "has its kernel unpacked (--decompress-kernel)" in said
    assert "image.yml:1:" in said
    here.build("--format", "tar", "--name", "packed")
    shutil.copy(here.directory / "packed.tar", there.directory)
    there.build("--input-tar", "packed.tar", "--format", "tar", "--decompress-kernel")
    assert there.outputs("image.tar") == here.outputs("plain.tar")


@pytest.mark.slow
def test_the_sbom(here: Place, there: Place) -> None:
    text = YAML.replace("example/runc:v1", "example/spdx-one:1")
    for place in (here, there):
        place.write(text)
    here.build("--format", "tar", "--name", "earlier")
    shutil.copy(here.directory / "earlier.tar", there.directory)
    assert "SBOM" not in there.build(*FROM, "--format", "tar")
    assert there.outputs("image.tar") == here.outputs("earlier.tar")
    # Another layout has another document, and what is said of this image is not there to join.
    there.write(text.replace("[{name: a,", "[{name: c, image: 'example/plain:1'}, {name: a,"))
    there.build(*FROM)
    there.write(text.replace("'example/init:v1', ", ""))
    assert "the SBOM of docker.io/example/spdx-one:1 is left out" in there.build(*FROM)
    assert "SBOM" not in there.build(*FROM, "--no-sbom")


@pytest.mark.slow
def test_a_stamp_sees_another_tar(there: Place) -> None:
    first = there.build(*FROM, "--json", json=True)
    again = there.build(*FROM, "--json", json=True)
    assert [json.loads(x)["unchanged"] for x in (first, again)] == [False, True]
    (there.directory / "earlier.tar").touch()
    assert not json.loads(there.build(*FROM, "--json", json=True))["unchanged"]
    (there.directory / "earlier.tar").write_bytes(b"no tar")
    assert "is not a tar" in there.build(*FROM, status=2)
