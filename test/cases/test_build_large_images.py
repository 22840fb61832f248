"""A user limits the size of images, which a few bytes could make enormous."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import host_platform
from support.dockerfiles import Kitchen

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

HERE = host_platform()


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    """Give a store with an image of 4 MB of zeros."""
    kitchen = Kitchen(tmp_path)
    package = kitchen.package("FROM scratch\nCOPY zeros /\n", {"zeros": bytes(4_000_000)})
    kitchen.build(package, HERE)
    return kitchen


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_build(kitchen: Kitchen, dolmen: Dolmen, tmp_path: Path, how: str) -> None:
    yaml = tmp_path / "image.yml"
    yaml.write_text("init: ['example/app:h']\n")
    words = ("--cache", kitchen.store.root, "build", "--offline", "--no-sbom", "--format", "tar")

    def build(size: str) -> tuple[int, str]:
        limit = ("--max-image-size", size) if how == "option" else ()
        env = {"DOLMEN_MAX_IMAGE_SIZE": size} if how == "variable" else {}
        done = dolmen.run(*words, *limit, "--dir", tmp_path, yaml, env=env)
        return done.returncode, done.stderr

    status, errors = build("3M")
    assert status == 1
    assert "error[DM0404]: docker.io/example/app:h is larger than 3.0 MB uncompressed" in errors
    assert not (tmp_path / "image.tar").exists()
    assert build("5M")[0] == 0
    assert build("much")[0] == 2


def test_a_dockerfile(kitchen: Kitchen, dolmen: Dolmen) -> None:
    package = kitchen.package(
        "FROM scratch\nCOPY --from=example/app:h /zeros /\n",
        None,
        f"image: other\norg: example\narches: [{HERE.architecture}]\n",
        "other",
    )
    words = ("pkg", "build", "--offline", "--hash", "h", "--cache", kitchen.store.root, package)
    done = dolmen.run(*words, "--max-image-size", "3M")
    assert done.returncode == 1
    assert "DM0404" in done.stderr
    assert dolmen.run(*words).returncode == 0
