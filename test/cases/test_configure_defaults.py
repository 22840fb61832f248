"""A user keeps defaults in the configuration file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from support.debian import make_archive
from support.recipes import LIBRARY, TOOL, both, make_package

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen


@dataclass
class User:
    """A user with a configuration file."""

    dolmen: Dolmen

    @property
    def file(self) -> Path:
        return self.dolmen.home / ".config" / "dolmen" / "config.toml"

    def write(self, text: str | bytes) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(text.encode() if isinstance(text, str) else text)

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.dolmen.run(*words, env=env)

    def value(self, key: str, *words: str, **env: str) -> tuple[object, str]:
        done = self.run(*words, "config", key, "--json", **env)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return found["value"], found["origin"]


@pytest.fixture
def user(dolmen: Dolmen) -> User:
    return User(dolmen)


def test_the_file_precedes_defaults_and_follows_the_environment(user: User) -> None:
    assert user.value("debian.mirror") == (None, "default")

    user.write('# mine\ndebian.mirror = "https://one.example.com/debian"\n')
    assert user.value("debian.mirror") == (["https://one.example.com/debian"], f"{user.file}:2")

    assert user.value("debian.mirror", DOLMEN_DEBIAN_MIRROR="file:/a,file:/b") == (
        ["file:/a", "file:/b"],
        "DOLMEN_DEBIAN_MIRROR",
    )
    # An empty variable is not set.
    assert user.value("debian.mirror", DOLMEN_DEBIAN_MIRROR="")[1] == f"{user.file}:2"


def test_the_store_of_the_file_is_used(user: User, tmp_path: Path) -> None:
    user.write(f'cache = "{tmp_path}/mine"\n')
    listed = user.run("doctor", "--json")
    store = next(row for row in json.loads(listed.stdout) if row["name"] == "store")
    assert store["seen"].startswith(f"{tmp_path}/mine,")

    assert (
        f"{tmp_path}/other," in user.run("doctor", "--json", "--cache", f"{tmp_path}/other").stdout
    )


def test_paths_are_relative_to_the_file(user: User) -> None:
    user.write('cache = "store"\ndebian.keyring = "~/keys.gpg"\n')

    assert user.value("cache")[0] == str(user.file.parent / "store")
    assert user.value("debian.keyring")[0] == str(user.dolmen.home / "keys.gpg")


def test_tables_and_dotted_keys(user: User) -> None:
    user.write('[registries]\nmirrors = [\n  "docker.io=https://m.example.com",\n]\n')
    assert user.value("registries.mirrors") == (
        ["docker.io=https://m.example.com"],
        f"{user.file}:2",
    )
    user.write('registries = { insecure = "a:5000" }\n')
    assert user.value("registries.insecure") == (["a:5000"], f"{user.file}:1")


def test_all_settings_are_listed_with_their_origins(user: User) -> None:
    user.write("quiet = true\n")
    listed = user.run("config", DOLMEN_BUILDER="docker")
    assert listed.returncode == 0
    lines = dict(line.split(maxsplit=1) for line in listed.stdout.splitlines())
    assert lines["quiet"] == f"true  ({user.file}:1)"
    assert lines["packages.builder"] == "docker  (DOLMEN_BUILDER)"
    assert lines["images.max-size"] == "64GiB"
    assert lines["debian.mirror"] == "-"
    assert user.run("config", "images.max-size").stdout == "64GiB\n"


def test_color_of_the_file(user: User) -> None:
    user.write('color = "always"\n')
    assert "\x1b[" in user.run("doctor").stdout
    assert "\x1b[" in user.run("build", "missing.yml").stderr
    assert "\x1b[" not in user.run("doctor", "--color", "never").stdout
    assert "\x1b[" not in user.run("doctor", NO_COLOR="1").stdout
    assert "\x1b[" not in user.run("build", "missing.yml", NO_COLOR="1").stderr


def test_compression_of_the_file(user: User) -> None:
    user.write('[build]\ncompression = "brotli"\n')
    (user.dolmen.home / "a.yml").write_text("init: []\n")
    refused = user.run("build", "a.yml")
    assert refused.returncode
    assert "brotli" in refused.stderr
    assert "brotli" not in user.run("build", "--compression", "gzip", "a.yml").stderr


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ('debian.miror = "x"', "1:1", "there is no setting debian.miror", "debian.mirror?"),
        ("[debian]\nxyz = 1\nmirror = 'a'", "2:1", "no setting debian.xyz", "lists all keys"),
        ("[debian]\n\nmirror = 3", "3:1", "a text or a list of texts", "Debian mirrors"),
        ("build.jobs = 0", "1:1", "a whole number from 1 to 64", ""),
        ("build.jobs = true", "1:1", "a whole number from 1 to 64", ""),
        ('quiet = "yes"', "1:1", "true or false", ""),
        ('color = "sometimes"', "1:1", "one of auto, always, never", ""),
        ('images.max-size = "many"', "1:1", "a size such as 64GiB", ""),
        ('cache = ""', "1:1", "a path", ""),
        ("cache = /srv", "1:9", "not TOML", ""),
        ('quiet = true\ncache = "a', "2:11", "not TOML", ""),
        (b"quiet = true\n# \xff\n", "2:1", "not UTF-8", ""),
    ],
)
def test_mistakes_are_shown_with_their_place(
    user: User, text: str | bytes, place: str, message: str, hint: str
) -> None:
    user.write(text)
    refused = user.run("cache", "ls")

    assert refused.returncode == 1
    assert f"{user.file}:{place}: error[DM0904]: " in refused.stderr
    assert message in refused.stderr
    assert hint in refused.stderr
    assert "^" in refused.stderr


def test_all_mistakes_are_shown_at_once(user: User) -> None:
    user.write('colour = "never"\ncache = 1\n')
    assert "2 errors" in user.run("cache", "ls").stderr


def test_commands_without_settings_do_not_read_the_file(user: User) -> None:
    user.write("not TOML")
    assert user.run("version").returncode == 0
    assert user.run("config", "--path").stdout == f"{user.file}\n"


def test_another_file(user: User, tmp_path: Path) -> None:
    user.write("quiet = true\n")
    other = tmp_path / "other.toml"
    other.write_text('color = "never"\n')

    assert user.value("color", DOLMEN_CONFIG=str(other))[0] == "never"
    assert user.value("quiet", DOLMEN_CONFIG=str(other)) == (False, "default")
    assert user.value("quiet", DOLMEN_CONFIG="/dev/null") == (False, "default")
    assert user.value("quiet", DOLMEN_CONFIG="")[0] is True
    missing = user.run("cache", "ls", DOLMEN_CONFIG=str(tmp_path / "missing.toml"))
    assert missing.returncode == 1
    assert "DM0804" in missing.stderr

    base = tmp_path / "xdg"
    (base / "dolmen").mkdir(parents=True)
    (base / "dolmen" / "config.toml").write_text('color = "always"\n')
    assert user.value("color", XDG_CONFIG_HOME=str(base))[0] == "always"


def test_a_file_that_others_may_write_to(user: User) -> None:
    user.write("quiet = true\n")
    user.file.chmod(0o666)
    refused = user.run("cache", "ls")
    assert refused.returncode == 1
    assert "DM0904" in refused.stderr
    assert "everyone may write to it" in refused.stderr
    assert user.value("quiet", DOLMEN_CONFIG=str(user.file))[0] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user(user: User) -> None:
    user.write("quiet = true\n")
    os.chown(user.file, 4321, 4321)
    refused = user.run("cache", "ls")
    assert refused.returncode == 1
    assert "it belongs to the user 4321" in refused.stderr


def test_a_directory_instead_of_the_file(user: User) -> None:
    user.file.mkdir(parents=True)
    refused = user.run("cache", "ls")
    assert refused.returncode == 1
    assert "DM0804" in refused.stderr


def test_an_unknown_setting(user: User) -> None:
    refused = user.run("config", "debian.keyrin")
    assert refused.returncode == 2
    assert "did you mean debian.keyring?" in refused.stderr


def test_mirrors_and_certificates_of_the_file_are_checked(user: User, tmp_path: Path) -> None:
    user.write('registries.mirrors = "ftp://m.example.com"\n')
    assert "not a mirror" in user.run("cache", "ls").stderr
    user.write(f'registries.cert-files = "{tmp_path}/none.pem"\n')
    assert "registries.cert-files: cannot read" in user.run("cache", "ls").stderr


def test_the_library_reads_no_configuration_file(user: User, tmp_path: Path) -> None:
    user.write(f'cache = "{tmp_path}/mine"\n')
    code = "import dolmen; print(dolmen.ImageSources().open_store().root)"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=user.dolmen.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == str(user.dolmen.home / ".cache" / "dolmen")


def test_doctor_says_how_to_name_a_debian_mirror(user: User) -> None:
    def finding() -> dict[str, object]:
        rows = json.loads(user.run("doctor", "--json").stdout)
        return next(row for row in rows if row["name"] == "Debian archive")

    user.write('debian.mirror = "no mirror"\n')
    missing = finding()
    assert not missing["well"]
    assert "debian.mirror" in str(missing["mend"])
    user.write('debian.mirror = "https://one.example.com/debian"\n')
    assert finding() == missing | {
        "well": True,
        "seen": "https://one.example.com/debian",
        "mend": "",
    }


@pytest.mark.slow
def test_one_line_is_enough_to_build_a_recipe(user: User, tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "archive", [*both(LIBRARY), *both(TOOL)])
    package = make_package(tmp_path / "work" / "tool")
    words = ("pkg", "build", "--recipe-engine", "python", str(package))
    user.write('debian.mirror = "[trusted=yes] file:/missing"\n')
    assert user.run(*words).returncode == 1
    mirror = f"[trusted=yes] file:{archive}"
    # An option and a variable precede the file.
    done = user.run(*words, "--debian-mirror", mirror, "--hash", "option")
    assert done.returncode == 0, done.stderr
    done = user.run(*words, "--hash", "variable", DOLMEN_DEBIAN_MIRROR=mirror)
    assert done.returncode == 0, done.stderr
    user.write(f'debian.mirror = "{mirror}"\npackages.organization = "mine"\n')
    done = user.run(*words, "--hash", "file")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "mine/tool:file"
