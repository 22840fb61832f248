"""Directories of references: which YAML may use which repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.config import ConfigInput
from assembler.errors import PackageError
from assembler.git_sources import GitReferences
from assembler.oci import ImageSources
from support.git_repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "1" * 40


def find(tmp_path: Path, text: str, given: ConfigInput) -> Path | None:
    return GitReferences(ImageSources(store=tmp_path / "store")).directory(text, given)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"@git:file:///etc#{COMMIT}:x", "may not use file:"),
        (f"@git:ssh://h.org/x#{COMMIT}:x", "may not use ssh:"),
        (f"@git:http://127.0.0.1:9/x#{COMMIT}:x", "may not use http:"),
        ("@git:https://127.0.0.1:9/x#main:x", "name the commit"),
    ],
)
def test_what_yaml_from_a_url_may_not_do(tmp_path: Path, text: str, reason: str) -> None:
    given = ConfigInput("https://h.org/image.yml", b"", None, "https://h.org/image.yml")
    with pytest.raises(PackageError, match="DM0760") as caught:
        find(tmp_path, text, given)
    assert reason in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_the_checkout_can_be_read_by_other_users(tmp_path: Path) -> None:
    repository = Repository.create(tmp_path / "r")
    given = ConfigInput(str(tmp_path / "image.yml"), b"", tmp_path)
    directory = find(tmp_path, f"@git:{repository.url}#main:pkg/one", given)
    assert directory is not None
    modes = {p.stat().st_mode & 0o777 for p in (directory, *directory.parents[:3])}
    assert modes == {0o755}
    assert (directory / "file").stat().st_mode & 0o777 == 0o644
