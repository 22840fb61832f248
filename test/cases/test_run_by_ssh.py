"""A user starts a machine and logs in with SSH, with a generated key."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from support.booting import LIMIT, System, left_behind
from support.guests import HOME, REPOSITORY, assemble, needs_qemu

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [
    pytest.mark.usefixtures("no_machine_left"),
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(4 * LIMIT)),
    pytest.mark.skipif(
        not all(map(shutil.which, ("qemu-system-x86_64", "ssh", "ssh-keygen"))),
        reason="QEMU or ssh is not installed",
    ),
]


@needs_qemu
def test_a_shell_in_an_image_with_keys_from_metadata(dolmen: Dolmen, tmp_path: Path) -> None:
    assemble(REPOSITORY / "examples" / "sshd.yml", tmp_path)
    data = json.dumps({"hostname": "told", "notes": {"entries": {"one": "from the user"}}})
    done = dolmen.run(
        *("--cache", HOME / ".cache" / "dolmen", "run", "qemu", "--offline", "--ssh"),
        *("--detached", "--mem", "256", "--data", data, "--wait-for", "started in"),
        *("--timeout", "110s", REPOSITORY / "examples" / "sshd.yml"),
    )
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    assert f"dolmen ssh {name}" in done.stderr
    (machine,) = json.loads(dolmen.run("ps", "--json").stdout)
    assert machine["ssh"] > 0
    said = dolmen.run("ssh", name, "hostname; cat /etc/shells")
    deadline = time.monotonic() + 30
    while said.returncode == 255 and time.monotonic() < deadline:
        time.sleep(0.5)
        said = dolmen.run("ssh", name, "hostname; cat /etc/shells")
    assert said.stdout == "told\n/bin/sh\n", said.stderr + dolmen.run("logs").stdout[-2000:]
    # The only machine needs no name; codes and options of ssh go through.
    assert dolmen.run("ssh", "-", "-T", "exit 7").returncode == 7
    own = dolmen.run("ssh", "-", "cat", "/run/config/notes/one")
    assert own.stdout == "from the user"
    # The command that was told does it, too.
    shown = done.stderr.partition("the same with ssh: ssh ")[2].splitlines()[0]
    by_hand = subprocess.run(
        ["ssh", *shown.split(), "hostname"], capture_output=True, text=True, timeout=60, check=False
    )
    assert by_hand.stdout == "told\n", by_hand.stderr
    assert dolmen.run("stop", name, "--timeout", "0").returncode == 0
    assert left_behind(dolmen.home) == []
    assert dolmen.run("ssh").returncode == 1


def test_login_to_a_machine_without_ssh_is_an_error(dolmen: Dolmen, tiny_system: System) -> None:
    done = dolmen.run("run", tiny_system.prefix, "--detached", "--mem", "256")
    assert done.returncode == 0, done.stderr
    refused = dolmen.run("ssh")
    assert refused.returncode == 1
    assert "was not started with --ssh" in refused.stderr
    assert "DM1016" in refused.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--data", "no JSON"), "cannot add the key to the metadata of --data"),
        (("--data", '{"ssh": 1}'), "cannot add the key to the metadata of --data"),
        (("--networking", "none"), "--ssh needs --networking user"),
    ],
)
def test_options_that_contradict_ssh_are_refused(
    dolmen: Dolmen, tiny_system: System, words: tuple[str, ...], told: str
) -> None:
    done = dolmen.run("run", tiny_system.prefix, "--ssh", *words)
    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.split())
    assert left_behind(dolmen.home) == []
