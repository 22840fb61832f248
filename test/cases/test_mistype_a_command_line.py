"""Invalid options, names and values: all are diagnostics, all at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.cli import Dolmen


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["validat"], "no such command 'validat'", "did you mean 'validate'?"),
        (["build", "--offlin"], "no such option: --offlin", "did you mean --offline?"),
        (["build", "-j", "0", "x"], "'--jobs': 0 is not in the range", "`dolmen build --help`"),
        (["-x"], "no such option: -x", "`dolmen --help`"),
        (["cache", "inspect"], "missing argument 'NAME'", "`dolmen cache inspect --help`"),
        (["--color", "red", "version"], "must be auto, always or never", "`dolmen --help`"),
        (["build", "--name"], "'--name' requires an argument", ""),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_a_usage_error_is_a_diagnostic(
    dolmen: Dolmen, words: list[str], message: str, hint: str
) -> None:
    failed = dolmen.run(*words)
    assert (failed.returncode, failed.stdout) == (2, "")
    first, *hints = failed.stderr.splitlines()
    assert first.startswith("error[DM0901]: ")
    assert message in first
    assert all(line.startswith("  hint: ") for line in hints)
    assert hint in "".join(hints)


def test_without_a_command_there_is_help(dolmen: Dolmen) -> None:
    for words in ([], ["cache"]):
        helped = dolmen.run(*words)
        assert helped.returncode == 2
        assert helped.stderr.startswith("Usage: dolmen")


def test_mirrors_and_certificates_are_checked_even_if_unused(dolmen: Dolmen) -> None:
    (dolmen.home / "no.pem").write_text("nothing\n")
    failed = dolmen.run(
        *("--mirror", "foo", "--cert-file", "/nowhere/ca.pem", "--cert-file", "no.pem"),
        *("--mirror", "docker.io=ftp://x", "version"),
        cwd=dolmen.home,
    )
    assert (failed.returncode, failed.stdout) == (2, "")
    for word in ("foo", "ftp://x", "cannot read /nowhere/ca.pem", "no certificate in no.pem"):
        assert word in failed.stderr
    failed = dolmen.run("version", env={"LINUXKIT_MIRROR": "http://ok.example.com,bad"})
    assert failed.returncode == 2
    assert "not a mirror: bad" in failed.stderr
    assert "ok.example.com" not in failed.stderr.splitlines()[0]
    (dolmen.home / "image.yml").write_text("init: []\n")
    failed = dolmen.run("build", "--offline", "--registry-creds", "me", "image.yml")
    assert failed.returncode == 2
    assert "--registry-creds" in failed.stderr


def test_all_unknown_formats(dolmen: Dolmen) -> None:
    (dolmen.home / "image.yml").write_text("init: []\n")
    failed = dolmen.run("build", "--format", "nonsense,tarr,kernel-initrd", "image.yml")
    assert failed.returncode == 2
    for name in ("'nonsense'", "'tarr'", "'kernel-initrd'"):
        assert f"there is no output format {name}" in failed.stderr
    assert "did you mean tar?" in failed.stderr
    assert "did you mean kernel+initrd?" in failed.stderr


def test_several_codes_are_explained(dolmen: Dolmen) -> None:
    explained = dolmen.run("explain", "DM0114", "115", "DM0114").stdout
    assert [x.splitlines()[0] for x in explained.split("\n\n") if x.startswith("DM")] == [
        "DM0114: An unknown volume",
        "DM0115: A read-only volume is bound writable",
    ]
    found = json.loads(dolmen.run("explain", "--json", "DM0114", "volumes").stdout)
    codes = [entry["code"] for entry in found]
    assert codes[0] == "DM0114"
    assert len(codes) == len(set(codes)) > 1
    failed = dolmen.run("explain", "DM0114", "DM9998", "DM9997")
    assert (failed.returncode, failed.stdout) == (2, "")


def test_an_interrupt_prints_one_word(dolmen: Dolmen) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "dolmen", "build", "-"],
        cwd=dolmen.home,
        env=dolmen.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _wait_for_reading(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def _wait_for_reading(process: int) -> None:
    """Wait until a process reads its standard input."""
    for _ in range(500):
        if Path(f"/proc/{process}/syscall").read_text().startswith("0 0x0 "):
            return
        time.sleep(0.02)
    pytest.fail("it does not read")
