"""A script reads results from standard output; progress, notes and warnings are elsewhere."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from dolmen.app import COMMANDS
from dolmen.lazy import load_command
from support.booting import System, left_behind
from support.faulty_registry import FaultyRegistry, faulty_registry
from support.pictures import Painter
from support.programs import program
from support.recipes import commit, git
from support.terminal import run_on_terminal

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from support.cli import Dolmen

DIGEST = "sha256:[0-9a-f]{64}"
HASH = "[0-9a-f]{40}"
NOTHING = ""
# The result of each command: its words, and a regular expression for all of standard output.
# {r} is a registry, {t} a directory, {s} a machine's prefix.
RESULTS = {
    "build": ("build --offline --format tar --dir {t}/new i.yml", "{t}/new/i.tar\n"),
    "build (again)": ("build --offline --format tar --dir {t}/old i.yml", "{t}/old/i.tar\n"),
    "build --dry-run": ("build --dry-run i.yml", r"init:\n(.|\n)*"),
    "build --output": ("build --offline --output {t}/x.tar i.yml", "{t}/x.tar\n"),
    "build --output -": ("build --offline --force --output /dev/stdout i.yml", NOTHING),
    "build (fails)": ("build --offline none.yml", NOTHING),
    "validate": ("validate i.yml", NOTHING),
    "lock": ("lock i.yml", NOTHING),
    "config": ("config", r"(\S+ .*\n)+"),
    "new": ("new {t}/n.yml", NOTHING),
    "new -": ("new -", r"# yaml-language-server(.|\n)*"),
    "cache ls": ("cache ls", r"IMAGE .*\n(docker.io/\S+ .*\n)+"),
    "cache inspect": ("cache inspect example/init:1", r"name +docker.io/example/init:1\n(.|\n)*"),
    "cache pull": ("cache pull --insecure {r} {r}/app:1", NOTHING),
    "cache push": ("cache push --insecure {r} --remote-name {r}/a:2 example/init:1", NOTHING),
    "cache export": ("cache export example/init:1 -o {t}/e.tar", NOTHING),
    "cache import": ("cache import a.tar", f"docker.io/example/init:1 {DIGEST}\n"),
    "cache rm": ("cache rm --dry-run example/init:1", r"would remove \S+\nwould free .*\n"),
    "cache clean": ("cache clean", r"freed .*\n"),
    "cache verify": ("cache verify", r".* verified\n(.*\n)?"),
    "pkg build": ("pkg build p", f"example/p:{HASH}\n"),
    "pkg push": ("pkg push --insecure {r} --org {r}/o p", f"{{r}}/o/p:{HASH}\n"),
    "pkg index": ("pkg index --insecure {r} --org {r}/o p", f"{{r}}/o/p:{HASH} linux/amd64.*\n"),
    "pkg manifest": (
        "pkg manifest --insecure {r} --org {r}/o p",
        f"{{r}}/o/p:{HASH} linux/amd64.*\n",
    ),
    "pkg show-tag": ("pkg show-tag p", f"example/p:{HASH}\n"),
    "pkg list": ("pkg list", r"NAME .*\n(\S+ .*\n)+"),
    "pkg show": ("pkg show nginx", r"nginx: .*\n(.*\n)+    services:\n(    .*\n)+"),
    "pkg inputs": ("pkg inputs p", rf"(example/p:{HASH} for \S+\n(  .*\n)+)+"),
    "pkg lock": ("pkg lock p", NOTHING),
    "pkg publish": ("pkg publish --insecure {r} p {r}/cat:1", f"{{r}}/cat:1@{DIGEST}\n"),
    "pkg new": ("pkg new {t}/q", NOTHING),
    "pkg remote-tag": (
        "pkg remote-tag --insecure {r} {r}/app:1 v2",
        f"{{r}}/app:v2 {DIGEST}\n",
    ),
    "pkg builder": ("pkg builder du", r"(\S+ .*\n)*"),
    "metadata": ("metadata create {t}/m.iso x", NOTHING),
    "inspect": ("inspect a.tar", r"a.tar: .*\n(  .*\n)*"),
    "pcrs": ("pcrs x.efi", r"x.efi: program\nwith Secure Boot off:\n(  .*\n)+"),
    "verify (fails)": ("verify none.img", NOTHING),
    "keys": ("keys generate {t}/keys", r"({t}/keys/\S+\n)+"),
    "schema": ("schema", r"\{{(.|\n)*\}}\n"),
    "explain": ("explain DM0114", r"DM0114: .*\n\n(.|\n)+"),
    "doctor": ("doctor", r"\S(.|\n)+"),
    "completion": ("completion bash", r"(.|\n)*_DOLMEN_COMPLETE(.|\n)*"),
    "version": ("version", r"dolmen [\d.]+\n"),
    "ps": ("ps", NOTHING),
    "logs (fails)": ("logs none", NOTHING),
    "exec (fails)": ("exec none web true", NOTHING),
    "console (fails)": ("console none", NOTHING),
    "ssh (fails)": ("ssh none", NOTHING),
    "stop (fails)": ("stop none", NOTHING),
    "serve (fails)": ("serve --directory none", NOTHING),
    "run (fails)": ("run qemu {t}/none", NOTHING),
}
# What the last line of each command on a terminal says to do next; empty if there is nothing that
# a person would do: commands that end something, that show something, or that fail.
NEXT = {
    "build": "dolmen inspect {t}/new/i.tar",
    "build (again)": "dolmen inspect {t}/old/i.tar",
    "build --output": "dolmen inspect {t}/x.tar",
    "validate": "dolmen build i.yml",
    "new": "dolmen run qemu {t}/n.yml --publish 8080:80",
    "cache pull": "dolmen cache inspect {r}/app:1",
    "cache import": "dolmen cache inspect docker.io/example/init:1",
    "cache rm": "dolmen cache rm example/init:1",
    "pkg build": 'write image: "@pkg:./p" into image.yml, then dolmen build image.yml',
    "pkg push": 'write image: "{r}/o/p:' + HASH + '" into image.yml, then dolmen build image.yml',
    "pkg new": "dolmen pkg build {t}/q",
    "keys": "dolmen build --format raw-efi --secure-boot-key {t}/keys/db.key "
    "--secure-boot-cert {t}/keys/db.crt image.yml",
    "doctor": "dolmen new",
}
# Without a terminal, too: they begin something.
ALWAYS = {"new", "pkg new"}
# These fail here; also then nothing but a result is on standard output.
MAY_FAIL = {"pkg lock", "pkg builder"}


@dataclass(frozen=True)
class Place:
    """A directory with a YAML file, a package, an archive and a store; and a registry."""

    dolmen: Dolmen
    directory: Path
    registry: FaultyRegistry

    def run(self, words: str, *more: str) -> subprocess.CompletedProcess[str]:
        filled = [self.fill(word) for word in words.split()]
        env = {"DOLMEN_CACHE": str(self.directory / "store")}
        return self.dolmen.run(*filled, *more, cwd=self.directory, env=env)

    def fill(self, text: str) -> str:
        return text.format(r=self.registry.host, t=self.directory)


@pytest.fixture
def place(dolmen: Dolmen, tmp_path: Path) -> Iterator[Place]:
    painter = Painter(Store(tmp_path / "store"))
    image = painter.image({"sbin/init": b"1"})
    painter.store.put("docker.io/example/init:1", image)
    (tmp_path / "i.yml").write_text("init: ['example/init:1']\n")
    (tmp_path / "x.efi").write_bytes(program())
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "build.yml").write_text("image: p\norg: example\narches: [amd64]\n")
    (tmp_path / "p" / "Dockerfile").write_text("FROM scratch\nCOPY build.yml /\n")
    git(tmp_path / "p", "init", "-q", ".")
    commit(tmp_path / "p")
    remote = Painter(Store(tmp_path / "remote"))
    with faulty_registry(remote.store) as registry:
        registry.publish("app", "1", remote.image({"f": b"1"}))
        registry.publish("o/p", "none", remote.image({"f": b"1"}))
        found = Place(dolmen, tmp_path, registry)
        found.run("cache export example/init:1 -o a.tar")
        found.run("build --offline --format tar --dir {t}/old i.yml")
        yield found


def test_every_command_is_in_the_table() -> None:
    tried = {name.partition(" (")[0] for name in RESULTS}
    for command in COMMANDS:
        if command.name not in ("cache", "pkg"):
            assert command.name in tried
            continue
        group = load_command(command).commands
        visible = {f"{command.name} {n}" for n, c in group.items() if not c.hidden}
        assert visible - tried == set()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in NEXT else pytest.mark.slow)
        for name in RESULTS
        # An archive is not written to a terminal.
        if name != "build --output -"
    ],
)
def test_the_last_line_on_a_terminal_is_the_next_command(place: Place, name: str) -> None:
    words = [place.fill(word) for word in RESULTS[name][0].split()]
    env = {"DOLMEN_CACHE": str(place.directory / "store"), "NO_COLOR": "1"}
    typed = run_on_terminal(place.dolmen, *words, cwd=place.directory, columns=200, env=env)
    if name in NEXT:
        expected = NEXT[name].replace("{t}", re.escape(str(place.directory)))
        expected = expected.replace("{r}", re.escape(place.registry.host))
        assert re.fullmatch(f"next: {expected}", typed.last_line), typed.text
        quiet = run_on_terminal(place.dolmen, *words, "-q", cwd=place.directory, env=env)
        assert "next: " not in quiet.text
    else:
        assert "next: " not in typed.text


def test_a_result_that_goes_elsewhere_has_no_next_command(place: Place) -> None:
    env = {"DOLMEN_CACHE": str(place.directory / "store")}
    words = ("build", "--offline", "--force", "i.yml")
    shown = run_on_terminal(place.dolmen, *words, cwd=place.directory, env=env)
    assert shown.last_line.startswith("next: dolmen inspect ")
    typed = run_on_terminal(place.dolmen, *words, "--json", cwd=place.directory, env=env)
    assert "next: " not in typed.text
    with (place.directory / "result").open("wb") as result:
        piped = run_on_terminal(
            place.dolmen, *words, cwd=place.directory, env=env, stdout=result.fileno()
        )
    assert piped.returncode == 0
    assert "next: " not in piped.text


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("more", [(), ("-q",), ("-v", "-v")], ids=["plain", "quiet", "verbose"])
def test_only_the_result_is_on_standard_output(
    place: Place, name: str, more: tuple[str, ...]
) -> None:
    words, result = RESULTS[name]
    if name in ("pkg index", "pkg manifest"):
        place.run(RESULTS["pkg push"][0])
    done = place.run(words, *more)
    if name not in MAY_FAIL:
        assert (done.returncode != 0) is name.endswith("(fails)"), done.stderr
    expected = result.replace("{t}", re.escape(str(place.directory)))
    expected = expected.replace("{r}", re.escape(place.registry.host))
    expected = expected.replace("{{", "{").replace("}}", "}")
    if name == "build --output -":
        # The archive, and no path in or after it.
        assert "/dev/stdout\n" not in done.stdout
    else:
        assert re.fullmatch(expected, done.stdout), (done.stdout, done.stderr)
    assert ("next: " in done.stderr) is (name in ALWAYS and more != ("-q",))
    if more == ("-q",) and done.returncode == 0 and name != "pkg builder":
        assert done.stderr == ""


def test_a_quiet_build_still_prints_its_paths(place: Place) -> None:
    done = place.run("build -q --offline i.yml")
    paths = done.stdout.splitlines()
    assert paths
    assert all((place.directory / path).is_file() for path in paths)
    loud = place.run("build --offline i.yml")
    assert loud.stdout == done.stdout
    notes = "".join(line for line in loud.stderr.splitlines(keepends=True) if "  unchanged" in line)
    assert re.fullmatch(r"(\S+  unchanged\n)+", notes)
    assert loud.stderr.endswith(notes)


def test_the_names_of_packages_as_json(place: Place) -> None:
    (named,) = json.loads(place.run("pkg show-tag --json p").stdout)
    assert place.run("pkg show-tag p").stdout == f"{named['name']}\n"
    assert named["canonical"] == f"docker.io/{named['name']}"
    assert named["name"].endswith(f":{named['tag']}")
    assert (named["directory"], named["dirty"]) == ("p", False)
    assert re.fullmatch(HASH, named["hash"])


def test_a_build_of_packages_as_json(place: Place) -> None:
    built = json.loads(place.run("pkg build --json p").stdout)
    assert built["errors"] == []
    (package,) = built["packages"]
    assert re.fullmatch(f"example/p:{HASH}", package["name"])
    assert package["built"] == ["linux/amd64"]
    again = json.loads(place.run("pkg build -q --json p").stdout)
    assert again["packages"][0]["present"] == ["linux/amd64"]
    (place.directory / "p" / "Dockerfile").write_text("FROM scratch\nCOPY none /\n")
    failed = place.run("pkg build --json p")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["errors"][0]["code"] in failed.stderr
    unread = place.run("pkg build --json none")
    assert unread.returncode == 1
    assert json.loads(unread.stdout)["errors"]
    assert place.run("pkg build --json --dry-run p").returncode == 2


def test_a_machine_that_cannot_start_as_json(place: Place) -> None:
    done = place.run("run qemu --json {t}/none")
    told = json.loads(done.stdout)
    assert (done.returncode, told["outcome"], told["running"]) == (1, "not-started", False)
    assert told["errors"][0]["code"] in done.stderr


@pytest.mark.slow
def test_a_detached_machine_as_json(dolmen: Dolmen, tiny_system: System) -> None:
    words = ("run", tiny_system.prefix, "--detached", "--mem", "256", "--json")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = dolmen.run(*words, "--publish", f"{port}:80")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["outcome"], told["running"], told["errors"]) == ("started", True, [])
    assert Path(f"/proc/{told['pid']}").exists()
    assert Path(told["consoleLog"]).is_file()
    assert len(told["ports"]) == 1
    assert dolmen.run("stop", told["name"], "--timeout", "0").returncode == 0
    assert left_behind(dolmen.home) == []


@pytest.mark.slow
def test_an_ended_machine_as_json(dolmen: Dolmen, tiny_system: System) -> None:
    words = ("run", tiny_system.prefix, "--mem", "256", "--json", "--once")
    done = dolmen.run(*words, "--wait-for", "the system is up", "--stop-timeout", "1s")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["outcome"], told["running"], told["consoleLog"]) == ("ready", False, None)
    assert told["seconds"] > 0
    # The console is not a result.
    assert "the system is up" in done.stderr
    assert any("the system is up" in line for line in told["consoleTail"])
    failed = dolmen.run(*words, "--wait-for", "never", "--timeout", "1s")
    assert failed.returncode == 3
    assert json.loads(failed.stdout)["outcome"] == "timed-out"


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--detached",), ("--once", "--wait-for", "the system is up")])
def test_a_machine_on_a_terminal_names_the_next_command(
    dolmen: Dolmen, tiny_system: System, options: tuple[str, ...]
) -> None:
    words = ("run", tiny_system.prefix, "--mem", "256", "--name", "m", *options)
    typed = run_on_terminal(dolmen, *words, cwd=dolmen.home)
    dolmen.run("stop", "--all", "--timeout", "0")
    assert typed.returncode == 0, typed.text
    if options == ("--detached",):
        assert typed.last_line == "next: dolmen logs -f m"
    else:
        # The image of a finished build is there already.
        assert "next: " not in typed.text
