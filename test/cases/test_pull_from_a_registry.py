"""A user pulls from real registries: plain, with a login, with TLS; pulled images can be used."""

from __future__ import annotations

import base64
import json
import re
import stat
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

    from support.cli import Dolmen

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an OCI layout with an image for two platforms, called app."""
    store = Store(tmp_path_factory.mktemp("layout"))
    painter = Painter(store)
    base = {"base": noise(0, 50_000)}
    images = [
        painter.image([base, {"arch": str(p).encode() * 1000, "big": noise(n, 200_000)}], p)
        for n, p in enumerate((AMD64, ARM64))
    ]
    store.put("app", painter.index(*images))
    return store.root


@pytest.fixture(scope="module", params=["plain", "login", "tls", "tls and login"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, layout: Path
) -> Iterator[RegistryServer]:
    """Give a registry of each kind, with the image org/app:1."""
    kind: str = request.param
    directory = tmp_path_factory.mktemp("server")
    with registry_server(directory, login="login" in kind, tls="tls" in kind) as made:
        skopeo(
            "copy", "--all", f"oci:{layout}:app", f"docker://{made.name('org/app:1')}", server=made
        )
        yield made


def trusting(server: RegistryServer) -> list[str]:
    """Return the options that a registry with an authority of its own needs."""
    return ["--cert-file", str(server.ca_file)] if server.ca_file else []


def logged_in(server: RegistryServer) -> list[str]:
    """Return the options that a registry with a login needs."""
    return ["--registry-creds", f"{server.host}={LOGIN}"] if server.login else []


def test_an_image_is_pulled_with_all_platforms(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path
) -> None:
    store, name = Store(tmp_path / "store"), server.name("org/app:1")
    command = ["--cache", store.root, *trusting(server), "cache", "pull", *logged_in(server), name]
    done = dolmen.run(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert sum("pulled from" in line for line in lines) == 5
    assert any(re.search(rf"pull of 1 image: complete, from {server.host} \d+", x) for x in lines)
    for platform in (AMD64, ARM64):
        find_image(store, Reference.parse(name), platform)
    assert verify_store(store, NullReporter()).clean
    again = dolmen.run(*command)
    assert again.returncode == 0
    assert "up to date" in again.stderr
    assert "pulled from" not in again.stderr


def test_one_platform_alone(dolmen: Dolmen, server: RegistryServer, tmp_path: Path) -> None:
    store, name = Store(tmp_path / "store"), server.name("org/app:1")
    options = ["--cache", store.root, *trusting(server)]
    done = dolmen.run(
        *options, "cache", "pull", "--platform", "linux/arm64", *logged_in(server), name
    )
    assert done.returncode == 0, done.stderr
    find_image(store, Reference.parse(name), ARM64)
    assert done.stderr.count("pulled from") == 3
    assert verify_store(store, NullReporter()).clean


def test_a_missing_platform(dolmen: Dolmen, server: RegistryServer, tmp_path: Path) -> None:
    name = server.name("org/app:1")
    options = ["--cache", tmp_path / "store", *trusting(server)]
    done = dolmen.run(*options, "cache", "pull", "--platform", "riscv64", *logged_in(server), name)
    assert done.returncode == 1
    assert f"{name} has linux/amd64, linux/arm64, not linux/riscv64" in done.stderr


def test_credentials_of_dockers_config(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path
) -> None:
    config = dolmen.home / ".docker" / "config.json"
    config.parent.mkdir()
    auth = base64.b64encode(LOGIN.encode()).decode()
    config.write_text(json.dumps({"auths": {f"https://{server.host}/v1/": {"auth": auth}}}))
    name = server.name("org/app:1")
    done = dolmen.run("--cache", tmp_path / "s", *trusting(server), "cache", "pull", name)
    assert done.returncode == 0, done.stderr


def test_credentials_of_a_helper(dolmen: Dolmen, server: RegistryServer, tmp_path: Path) -> None:
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    user, password = LOGIN.split(":")
    answer = json.dumps({"Username": user, "Secret": password})
    helper.write_text(f"#!/bin/sh\nread host; [ $host = {server.host} ] && echo '{answer}'\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    config = dolmen.home / ".docker" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"credHelpers": {server.host: "test"}}))
    path = f"{helper.parent}:{dolmen.environment()['PATH']}"
    done = dolmen.run(
        *["--cache", tmp_path / "s", *trusting(server), "cache", "pull", server.name("org/app:1")],
        env={"PATH": path},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("server", ["login", "tls and login"], indirect=True)
def test_without_a_login(dolmen: Dolmen, server: RegistryServer, tmp_path: Path) -> None:
    name = server.name("org/app:1")
    done = dolmen.run("--cache", tmp_path / "s", *trusting(server), "cache", "pull", name)
    assert done.returncode == 1
    assert "error[DM0304]" in done.stderr
    assert f"no credentials were found for {server.host}" in done.stderr
    assert f"docker login {server.host}" in done.stderr


@pytest.mark.parametrize("server", ["login", "tls and login"], indirect=True)
def test_with_a_wrong_password(dolmen: Dolmen, server: RegistryServer, tmp_path: Path) -> None:
    env = {"DOLMEN_REGISTRY_CREDS": f"{server.host}=me:hunter2"}
    done = dolmen.run(
        *["--cache", tmp_path / "s", *trusting(server), "-vv"],
        *["cache", "pull", server.name("org/app:1")],
        env=env,
    )
    assert done.returncode == 1
    assert "those from DOLMEN_REGISTRY_CREDS" in done.stderr
    assert "hunter2" not in done.stderr
    assert base64.b64encode(b"me:hunter2").decode() not in done.stderr


@pytest.mark.parametrize("server", ["tls", "tls and login"], indirect=True)
def test_an_unknown_certificate_authority(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path
) -> None:
    name = server.name("org/app:1")
    done = dolmen.run("--cache", tmp_path / "s", "cache", "pull", *logged_in(server), name)
    assert done.returncode == 1
    assert "error[DM0303]" in done.stderr
    assert f"the certificate of {server.host} is not trusted" in done.stderr
    assert "--cert-file" in done.stderr
    assert "--insecure" in done.stderr
    careless = dolmen.run(
        *["--cache", tmp_path / "s", "cache", "pull", "--insecure", server.host],
        *[*logged_in(server), name],
    )
    assert careless.returncode == 0, careless.stderr


def test_a_missing_tag(dolmen: Dolmen, server: RegistryServer, tmp_path: Path) -> None:
    done = dolmen.run(
        *["--cache", tmp_path / "s", *trusting(server), "cache", "pull", *logged_in(server)],
        server.name("org/app:2"),
    )
    assert done.returncode == 1
    assert "error[DM0305]" in done.stderr
    assert "tags there are, among others: 1" in done.stderr


def test_another_name_through_the_registry_as_a_mirror(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path
) -> None:
    scheme = "https" if server.ca_file else "http"
    store = Store(tmp_path / "store")
    for mirror, name in (
        (f"{scheme}://{server.host}", "registry.invalid/org/app:1"),
        (f"registry.invalid={scheme}://{server.host}/org", "registry.invalid/app:1"),
    ):
        done = dolmen.run(
            *["--cache", store.root, *trusting(server), "--mirror", mirror],
            *["cache", "pull", *logged_in(server), name],
        )
        assert done.returncode == 0, done.stderr
        find_image(store, Reference.parse(name), AMD64)
