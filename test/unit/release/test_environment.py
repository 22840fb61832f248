"""The environment of the Debian package: one folder for several versions of Python."""

from __future__ import annotations

import pytest

from release.environment import PYTHONS, _is_left_out, _merge
from release.tree import File, Tree


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("rich/console.py", False),
        ("pygments/lexer.py", True),
        ("markdown_it_py-4.3.0.dist-info/METADATA", True),
        ("pysequoia-0.1.35.dist-info/METADATA", True),
        ("typer-0.28.0.dist-info/METADATA", False),
        ("typer-0.28.0.dist-info/RECORD", True),
        ("typer-0.28.0.dist-info/licenses/LICENSE", True),
        ("bin/dolmen", True),
        ("oras/tests/run_registry.sh", True),
        ("zstandard/_cffi.cpython-311-x86_64-linux-gnu.so", True),
        ("isal/_isal.cpython-311-x86_64-linux-gnu.so", False),
        ("zstandard/backend_c.cpython-311-x86_64-linux-gnu.so", False),
    ],
)
def test_what_no_user_needs_is_left_out(name: str, left_out: bool) -> None:  # noqa: FBT001
    assert _is_left_out(name) is left_out


def test_files_of_several_pythons_share_a_folder() -> None:
    site: Tree = {}
    for python in PYTHONS:
        _merge(site, {"a.py": File(b"same"), f"a.cpython-{python}.so": File(python.encode())})
    assert len(site) == 1 + len(PYTHONS)


def test_a_file_that_differs_between_pythons_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"a\.py is not the same"):
        _merge({"a.py": File(b"one")}, {"a.py": File(b"two")})
