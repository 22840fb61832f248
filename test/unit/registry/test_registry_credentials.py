"""Who we are: where credentials are found, where they go, and where they never appear."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.codes import registries as codes
from assembler.errors import DolmenError
from assembler.events import EventRecorder
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.reference import Reference
from assembler.oci.registry.auth import parse_challenges
from assembler.oci.registry.credentials import find_credentials, parse_credentials
from assembler.oci.registry.options import RegistryOptions, read_registry_options
from assembler.oci.registry.redaction import redacted, redacted_url
from support.faulty_registry import QUICK, FaultyRegistry, faulty_registry
from support.pictures import AMD64

if TYPE_CHECKING:
    from assembler.oci.store import Store

Writer = Callable[[object], Path]


@pytest.fixture
def config(tmp_path: Path) -> Writer:
    """Give what writes Docker's config.json and returns its path."""

    def write(document: object) -> Path:
        path = tmp_path / "config.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_credentials_of_the_command_line_come_first(config: Writer) -> None:
    path = config({"auths": {"reg.example": {"auth": packed("file:secret")}}})
    found = find_credentials(
        "reg.example", [parse_credentials("reg.example=me:pa:ss", "an option")], [path]
    ).found
    assert found is not None
    assert (found.user, found.password, found.source) == ("me", "pa:ss", "an option")
    assert (
        find_credentials("other.example", [parse_credentials("reg.example=me:pass", "")], []).found
        is None
    )


@pytest.mark.parametrize("key", ["reg.example", "https://reg.example", "https://reg.example/v1/"])
def test_dockers_config(config: Writer, key: str) -> None:
    found = find_credentials(
        "reg.example", [], [config({"auths": {key: {"auth": packed("me:p:w")}}})]
    ).found
    assert found is not None
    assert (found.user, found.password) == ("me", "p:w")


@pytest.mark.parametrize("host", ["reg.example:5000", "sub.reg.example", "reg.exampl", "example"])
def test_credentials_are_for_one_host_only(config: Writer, host: str) -> None:
    path = config({"auths": {"reg.example": {"auth": packed("me:pw")}}})
    search = find_credentials(host, [parse_credentials("reg.example=me:pw", "")], [path])
    assert search.found is None
    assert str(path) in search.tried[0]


def test_docker_io_has_several_names(config: Writer) -> None:
    path = config({"auths": {"https://index.docker.io/v1/": {"auth": packed("me:pw")}}})
    found = find_credentials("registry-1.docker.io", [], [path]).found
    assert found is not None
    assert found.user == "me"
    assert find_credentials(
        "registry-1.docker.io", [parse_credentials("docker.io=a:b", "")], []
    ).found


def test_tokens_in_dockers_config(config: Writer) -> None:
    entry = {"auth": packed("me:"), "identitytoken": "who"}
    found = find_credentials("reg.example", [], [config({"auths": {"reg.example": entry}})]).found
    assert found is not None
    assert found.identity_token == "who"
    assert (
        find_credentials("reg.example", [], [config({"auths": {"reg.example": {}}})]).found is None
    )


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"auths": [1]}', '{"auths": {"reg.example": {"auth": "%%"}}}']
)
def test_a_config_that_cannot_be_read(config: Writer, text: str) -> None:
    if not text:
        assert find_credentials("reg.example", [], [config("")]).found is None
        return
    with pytest.raises(DolmenError) as caught:
        find_credentials("reg.example", [], [config(text)])
    assert "config.json" in str(caught.value)
    assert caught.value.diagnostics[0].code is codes.BAD_CREDENTIALS


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('echo \'{"Username":"me","Secret":"pw"}\'', ""),
        ('echo \'{"Username":"<token>","Secret":"pw"}\'', ""),
        ("echo credentials not found in native keychain; exit 1", "has none"),
        ("echo boom >&2; exit 3", "failed (3)"),
        ("echo nonsense", "cannot be read"),
        ("echo '[]'", "cannot be read"),
    ],
)
def test_helpers(
    config: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    helper = tmp_path / "docker-credential-mine"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    search = find_credentials("reg.example", [], [config({"credsStore": "mine"})])
    if words:
        assert search.found is None
        assert words in search.tried[0]
    else:
        assert search.found is not None
        assert search.found.password == "pw" or search.found.identity_token == "pw"


def test_a_missing_helper_is_no_error(config: Writer) -> None:
    document = {
        "credHelpers": {"reg.example": "gone"},
        "auths": {"reg.example": {"auth": packed("a:b")}},
    }
    search = find_credentials("reg.example", [], [config(document)])
    assert "not in the PATH" in search.tried[0]
    assert search.found is not None


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "x;y"])
def test_names_of_helpers_are_validated(config: Writer, name: str) -> None:
    with pytest.raises(DolmenError):
        find_credentials("reg.example", [], [config({"credsStore": name})])


@pytest.mark.parametrize("text", ["", "reg.example", "reg.example=", "=a:b", "https://r/x=a:b"])
def test_invalid_credentials_are_not_shown(text: str) -> None:
    with pytest.raises(DolmenError) as caught:
        parse_credentials(text + "" if "=" not in text else text, "--registry-creds")
    assert "a:b" not in str(caught.value)


def test_options_and_environment() -> None:
    options = read_registry_options(
        {
            "HOME": "/home/me",
            "DOLMEN_REGISTRY_CREDS": "b.example=b:b c.example=token",
            "DOLMEN_INSECURE": "x.example, y.example:5000",
        },
        creds=["a.example=a:a"],
        insecure=["z.example"],
    )
    assert [g.registry for g in options.credentials] == ["a.example", "b.example", "c.example"]
    assert options.credentials[2].credentials.registry_token == "token"
    assert options.insecure == {"x.example", "y.example:5000", "z.example"}
    assert options.config_files == (Path("/home/me/.docker/config.json"),)
    assert read_registry_options({"DOCKER_CONFIG": "/d"}).config_files == (Path("/d/config.json"),)
    assert "a:a" not in repr(options)
    assert "token" not in repr(options.credentials[2])


def pulled(store: Store, name: str, options: RegistryOptions, recorder: EventRecorder) -> None:
    pull(store, [Reference.parse(name)], PullOptions(options, (AMD64,)), recorder)


def knowing(registry: FaultyRegistry, secret: str) -> RegistryOptions:
    return replace(
        QUICK, credentials=(parse_credentials(f"{registry.host}={secret}", "an option"),)
    )


def test_a_token_is_requested_once(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.login, registry.tokens = "me:secret", True
    pulled(store, app, knowing(registry, "me:secret"), EventRecorder())
    assert len(registry.asked("/token")) == 1
    assert {r.authorization[:6] for r in registry.asked("/token")} == {"Basic "}
    bearers = {r.authorization for r in registry.asked("/blobs/")}
    assert len(bearers) == 1
    assert bearers.pop().startswith("Bearer t-")


def test_the_token_service_at_another_host(
    registry: FaultyRegistry, remote: Store, store: Store, app: str
) -> None:
    registry.login, registry.tokens = "me:secret", True
    with faulty_registry(remote) as other:
        other.login, other.tokens = registry.login, True
        registry.token_host = other.host
        pulled(store, app, knowing(registry, "me:secret"), EventRecorder())
        assert {r.path for r in other.requests} == {"/token"}
        assert not registry.asked("/token")
        assert not any(r.authorization.startswith("Basic") for r in registry.requests)


def test_an_expired_token_is_renewed(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.login, registry.tokens = "me:secret", True
    challenge = (
        f'Bearer realm="http://{registry.host}/token",service="s",scope="repository:org/app:pull"'
    )
    registry.fail(
        "GET .*/blobs/", status=401, headers={"WWW-Authenticate": challenge}, times=1, after=1
    )
    with pytest.raises(DolmenError) as caught:
        # The registry gives the same token again: that is no reason to ask for ever.
        pulled(store, app, knowing(registry, "me:secret"), EventRecorder())
    assert caught.value.diagnostics[0].code is codes.ACCESS_DENIED
    registry.forget()
    pulled(store, app, knowing(registry, "me:secret"), EventRecorder())


def test_an_identity_token(
    registry: FaultyRegistry, store: Store, app: str, tmp_path: Path
) -> None:
    registry.login, registry.tokens = "who-i-am", True
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {registry.host: {"identitytoken": "who-i-am"}}}))
    pulled(store, app, replace(QUICK, config_files=(config,)), EventRecorder())
    assert [r.method for r in registry.asked("/token")] == ["POST"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 500}, codes.TOKEN_REFUSED),
        ({"status": 404}, codes.TOKEN_REFUSED),
        ({"status": 401}, codes.ACCESS_DENIED),
        ({"body": b"<html>"}, codes.TOKEN_REFUSED),
        ({"body": b'{"token": 7}'}, codes.TOKEN_REFUSED),
        ({"body": b'{"token": "a\\r\\nX: y"}'}, codes.TOKEN_REFUSED),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, codes.TOKEN_REFUSED),
        ({"cut_after": 3}, codes.UNREACHABLE),
    ],
)
def test_a_token_service_that_fails(
    registry: FaultyRegistry, store: Store, app: str, fault: dict[str, object], code: object
) -> None:
    registry.login, registry.tokens = "me:secret", True
    registry.fail("/token", **fault)
    recorder = EventRecorder()
    with pytest.raises(DolmenError) as caught:
        pulled(store, app, knowing(registry, "me:secret"), recorder)
    assert caught.value.diagnostics[0].code is code, str(caught.value)
    assert "token" in str(caught.value)
    for secret in ("secret", packed("me:secret")):
        assert secret not in str(caught.value) + repr(recorder.events)
    registry.forget()
    pulled(store, app, knowing(registry, "me:secret"), EventRecorder())


@pytest.mark.parametrize("realm", ["http://example.com/token", "ftp://127.0.0.1/", "", "//x/y"])
def test_an_untrusted_token_service_gets_no_credentials(
    registry: FaultyRegistry, store: Store, app: str, realm: str
) -> None:
    registry.fail("/v2/org", status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
    with pytest.raises(DolmenError) as caught:
        pulled(store, app, knowing(registry, "me:secret"), EventRecorder())
    assert caught.value.diagnostics[0].code is codes.TOKEN_REFUSED


def test_secrets_are_in_no_message(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.login = "me:secret"
    recorder = EventRecorder()
    header = packed("me:wrong-secret")
    registry.fail(
        "/v2/org",
        status=401,
        headers={"WWW-Authenticate": "Basic"},
        body=json.dumps(
            {"errors": [{"message": f"no: Basic {header} https://a:b@c/?t=hidden"}]}
        ).encode(),
    )
    with pytest.raises(DolmenError) as caught:
        pulled(store, app, knowing(registry, "me:wrong-secret"), recorder)
    told = str(caught.value) + repr(recorder.events)
    for secret in ("wrong-secret", header, "a:b@", "hidden"):
        assert secret not in told
    assert "those from an option" in told


def test_challenges() -> None:
    header = (
        'Basic realm="a \\"b\\"", Bearer realm="https://x/t",service=s, scope="r:a:pull r:b:pull"'
    )
    basic, bearer = parse_challenges(header)
    assert (basic.scheme, basic.parameters) == ("basic", {"realm": 'a "b"'})
    assert bearer.parameters == {
        "realm": "https://x/t",
        "service": "s",
        "scope": "r:a:pull r:b:pull",
    }


@given(st.text(max_size=80))
def test_challenges_of_any_kind(text: str) -> None:
    list(parse_challenges(text))


def test_redaction() -> None:
    url = "https://u:p@host/v2/x?X-Signature=abc&service=s"
    assert redacted_url(url) == "https://host/v2/x?X-Signature=…&service=s"
    assert redacted(f"see {url} and Bearer abcdefghijk") == "see https://host/v2/x?… and Bearer …"
