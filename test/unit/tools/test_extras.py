"""Libraries that only rare tasks need: a missing one is an error with the command to install it."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assembler.errors import HostError
from assembler.machine import check_host
from assembler.media import KeySetOptions, generate_keys, read_certificate
from assembler.oci import ping_daemon
from assembler.tools import EXTRAS, extras, require_extra

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the libraries of all extras."""
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)


def test_the_extras_are_those_of_the_python_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = project["optional-dependencies"]
    libraries = {name: re.split("[><=]", lines[0])[0] for name, lines in declared.items()}
    everything = libraries.pop("all")
    assert libraries == {extra.name: extra.module for extra in EXTRAS.values()}
    assert everything == f"dolmen[{','.join(sorted(EXTRAS))}]"
    required = {re.split("[><=;]", line)[0] for line in project["dependencies"]}
    assert not required & set(libraries.values())


def test_an_extra_that_is_installed_is_no_error() -> None:
    for name in EXTRAS:
        require_extra(name)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", sorted(EXTRAS))
def test_the_hint_has_the_command_that_installs_the_extra(name: str) -> None:
    with pytest.raises(HostError) as caught:
        require_extra(name)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message.startswith(f"the Python library {EXTRAS[name].module} is not")
    assert diagnostic.hints == (f"pip install 'dolmen[{name}]'",)


@pytest.mark.usefixtures("bare")
def test_work_with_keys_names_its_extra(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cryptography is not installed"):
        generate_keys(tmp_path / "keys", KeySetOptions("me", datetime.now(UTC)))
    assert not (tmp_path / "keys").exists()
    with pytest.raises(HostError, match="cryptography is not installed"):
        read_certificate(tmp_path / "missing.crt")


@pytest.mark.usefixtures("bare")
def test_the_docker_daemon_names_its_extra(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="docker is not installed"):
        ping_daemon()
    (found,) = [f for f in check_host(tmp_path) if f.name == "docker daemon"]
    assert (found.well, found.mend) == (False, "pip install 'dolmen[docker]'")
