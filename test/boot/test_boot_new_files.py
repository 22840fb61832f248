"""What `dolmen new` writes boots unchanged, and does what its first lines say."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from support.cli import Dolmen
from support.guest import Files, Guest, login
from support.guests import HOME, boot_and, needs_qemu, page, redis

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]
# `make test` boots a template and a service, `make test-boot` all of them.
whole = pytest.mark.whole
GO = """package main

import (
	"fmt"
	"log"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello from Go")
	})
	log.Fatal(http.ListenAndServe(":80", nil))
}
"""
PYTHON = """from http.server import HTTPServer, SimpleHTTPRequestHandler
from greeting import TEXT

class Page(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(TEXT.encode())

HTTPServer(("", 8000), Page).serve_forever()
"""
SCRIPT = """#!/bin/sh
while true; do
  echo "the script counts $(seq 3 | tr '\\n' ' ' | awk '{ print $3 }')"
  sleep 1
done
"""


def new(home: Path, *words: str, cwd: Path) -> tuple[Dolmen, list[str]]:
    """Run `dolmen new`; return the command line, and the next command that it names."""
    HOME.mkdir(parents=True, exist_ok=True)
    dolmen = Dolmen(home)
    done = dolmen.run("new", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("next: dolmen run qemu image.yml")
    return dolmen, shlex.split(last)[2:]


def built(home: Path, *words: str, cwd: Path) -> Files:
    """Write a file and build it unchanged; return the outputs."""
    dolmen, _ = new(home, *words, cwd=cwd)
    store = {"DOLMEN_CACHE": str(HOME / ".cache" / "dolmen")}
    done = dolmen.run("build", "--decompress-kernel", "image.yml", cwd=cwd, env=store)
    assert done.returncode == 0, done.stderr
    return Files(cwd, "image")


def test_the_web_server_serves_its_page(tmp_path: Path) -> None:
    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert "<h1>It works</h1>" in page(guest)
        guest.wait_for(r"This is web, Linux")
        assert "failed" not in guest.text()

    boot_and(built(HOME, cwd=tmp_path), check)


@whole
@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is not installed")
def test_ssh_takes_the_key_of_the_user(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    key = home / ".ssh" / "id_ecdsa"
    made = ("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(key))
    subprocess.run(made, check=True)
    files = built(home, "--template", "ssh", cwd=tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        # sshd takes a moment to listen.
        time.sleep(2)
        found = login(guest, key, "hostname")
        assert found.stdout == "box\n", found.stderr + guest.text()[-2000:]
        assert "failed" not in guest.text()

    boot_and(files, check, guest_port=22)


@whole
@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is not installed")
def test_the_next_commands_log_in_without_a_key(tmp_path: Path) -> None:
    dolmen, words = new(tmp_path, "--template", "ssh", cwd=tmp_path)
    env = {"DOLMEN_CACHE": str(HOME / ".cache" / "dolmen"), "XDG_RUNTIME_DIR": str(tmp_path)}
    started = dolmen.run(*words, cwd=tmp_path, env=env)
    try:
        assert started.returncode == 0, started.stderr
        shown = dolmen.run("ssh", started.stdout.strip(), "hostname", env=env)
        assert shown.stdout == "box\n", shown.stderr
    finally:
        dolmen.run("stop", "--all", env=env)


@whole
def test_the_database_keeps_its_data(tmp_path: Path) -> None:
    files = built(HOME, "--template", "database", cwd=tmp_path)
    disk = tmp_path / "data.img"
    with disk.open("wb") as file:
        file.truncate(256 << 20)

    def first(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert redis(guest, "SET", "color", "green") == "+OK\r\n"
        assert "failed" not in guest.text()
        guest.press_power_button()
        guest.wait_for_end()

    def second(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert redis(guest, "GET", "color") == "$5\r\ngreen\r\n"
        assert "failed" not in guest.text()

    for check in (first, second):
        boot_and(files, check, guest_port=6379, disks=(disk,))


@whole
def test_minimal_has_a_shell(tmp_path: Path) -> None:
    def check(guest: Guest) -> None:
        guest.wait_for(r"This is minimal, Linux")
        guest.type("service list; poweroff")
        guest.wait_for(r"getty +running +pid \d+")
        guest.wait_for_end()
        assert "failed" not in guest.text()

    boot_and(built(HOME, "--template", "minimal", cwd=tmp_path), check)


@whole
def test_the_script_of_the_service_runs(tmp_path: Path) -> None:
    def check(guest: Guest) -> None:
        guest.wait_for(r"app: the service runs\n")
        guest.wait_for(r"app: .* UTC 20\d\d\n")
        assert "failed" not in guest.text()

    boot_and(built(HOME, "--template", "service", cwd=tmp_path), check)


def test_a_go_program_becomes_a_service(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "go.mod").write_text("module example.com/app\n\ngo 1.22\n")
    (app / "main.go").write_text(GO)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert page(guest) == "hello from Go\n"
        assert "failed" not in guest.text()

    boot_and(built(HOME, "--service", "app", cwd=tmp_path), check)


@whole
def test_a_program_in_python_becomes_a_service(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "server.py").write_text(PYTHON)
    (app / "greeting.py").write_text('TEXT = "hello from Python"\n')

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert page(guest) == "hello from Python"
        assert "failed" not in guest.text()

    boot_and(built(HOME, "--service", "app", cwd=tmp_path), check, guest_port=8000)


@whole
def test_a_script_becomes_a_service(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "loop").write_text(SCRIPT)
    (app / "loop").chmod(0o755)

    def check(guest: Guest) -> None:
        guest.wait_for(r"app: the script counts 3\n")
        assert "failed" not in guest.text()

    boot_and(built(HOME, "--service", "app", cwd=tmp_path), check)
