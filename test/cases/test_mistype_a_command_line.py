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

from dolmen.linuxkit_backends import BACKENDS

if TYPE_CHECKING:
    from support.cli import Dolmen


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["validat"], "no such command 'validat'", "did you mean validate?"),
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


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("run vmware image", "the backend vmware (VMware) is not supported", "--format vmdk"),
        ("run gcp image.yml --zone x", "(Google Cloud) is not supported", "--format gcp"),
        ("run packet", "the backend packet (Equinix Metal)", "dolmen serve"),
        ("push aws -bucket b image.raw", "pushing to AWS is not supported", "register-image"),
        ("push vmware image", "`push` is not supported", "dolmen cache push NAME"),
        ("push", "`push` is not supported", "says what to do instead for aws, azure"),
    ],
)
def test_a_backend_of_linuxkit_only(dolmen: Dolmen, words: str, message: str, hint: str) -> None:
    failed = dolmen.run(*words.split())
    assert (failed.returncode, failed.stdout) == (2, "")
    first, *hints = failed.stderr.splitlines()
    assert first.startswith("error[DM0903]: ")
    assert message in first
    assert hint in "".join(hints)
    assert "did you mean" not in failed.stderr


def test_backends_of_linuxkit_are_documented() -> None:
    document = (Path(__file__).parents[2] / "docs" / "linuxkit.md").read_text()
    table = document.split("### Backends")[1].split("##")[0]
    for name, backend in BACKENDS.items():
        (row,) = (line for line in table.splitlines() if f"`{name}`" in line.partition(" | ")[0])
        assert f"| `{backend.format}` | {backend.run} |" in row


def test_an_image_may_be_named_like_a_backend(dolmen: Dolmen) -> None:
    (dolmen.home / "aws-kernel").write_bytes(b"no kernel")
    failed = dolmen.run("run", "aws", cwd=dolmen.home)
    assert "not supported" not in failed.stderr


@pytest.mark.parametrize(
    ("arch", "meant"),
    [
        ("x86", "amd64"),
        ("x64", "amd64"),
        ("riscv", "riscv64"),
        ("armv7", "arm"),
        ("amd46", "amd64"),
        ("aarch46", "arm64"),
    ],
)
def test_an_architecture_that_is_almost_right(dolmen: Dolmen, arch: str, meant: str) -> None:
    (dolmen.home / "image.yml").write_text("init: []\n")
    (dolmen.home / "build.yml").write_text("image: p\n")
    for words in (
        ("build", "--arch", arch, "image.yml"),
        ("run", "--arch", arch, "image"),
        ("pkg", "build", "--platforms", arch, "."),
        ("pkg", "build", "--platforms", f"linux/{arch}", "."),
        ("cache", "pull", "--platform", f"linux/{arch}", "localhost:1/x"),
    ):
        failed = dolmen.run(*words, cwd=dolmen.home)
        assert failed.returncode in (1, 2), words
        assert f"did you mean {meant}?" in failed.stderr, words


def test_an_architecture_like_no_other_has_no_suggestion(dolmen: Dolmen) -> None:
    (dolmen.home / "image.yml").write_text("init: []\n")
    failed = dolmen.run("build", "--arch", "z80", "image.yml", cwd=dolmen.home)
    assert "did you mean" not in failed.stderr
    assert "choose one of amd64" in failed.stderr


def test_only_close_words_are_suggested(dolmen: Dolmen) -> None:
    (dolmen.home / "image.yml").write_text("init: []\n")
    for words in (("frobnicate",), ("build", "--zzz", "image.yml"), ("explain", "frobnicate")):
        assert "did you mean" not in dolmen.run(*words, cwd=dolmen.home).stderr
    failed = dolmen.run("build", "--format", "zzz", "image.yml", cwd=dolmen.home)
    assert "did you mean" not in failed.stderr
    failed = dolmen.run("build", "--format", "qcow2", "image.yml", cwd=dolmen.home)
    assert "did you mean qcow2-bios or qcow2-efi?" in failed.stderr
    assert "the command is `dolmen cache pull`" in dolmen.run("pull", "alpine").stderr


def test_a_mistyped_package_directory(dolmen: Dolmen) -> None:
    for name in ("pkg/sshd", "pkg/init"):
        (dolmen.home / name).mkdir(parents=True)
        (dolmen.home / name / "build.yml").write_text(f"image: {name[4:]}\n")
    (dolmen.home / "image.yml").write_text(
        "init:\n  - '@pkg:./pkg/ssh'\n  - '@pkg:./pgk/init'\n  - '@pkg:./sshd'\n  - '@pkg:zzz'\n"
    )
    failed = dolmen.run("validate", "image.yml", cwd=dolmen.home).stderr
    hints = [line for line in failed.splitlines() if "did you mean" in line]
    assert [h.split()[-1] for h in hints] == ["pkg/sshd?", "pkg/init?", "pkg/sshd?"]
    failed = dolmen.run("pkg", "build", "pkg/intt", cwd=dolmen.home).stderr
    assert "did you mean pkg/init?" in failed


def test_a_repository_of_another_user_is_reported_once(dolmen: Dolmen) -> None:
    subprocess.run(["git", "init", "-q", dolmen.home], check=True)
    for name in ("a", "b", "c"):
        (dolmen.home / name).mkdir()
        (dolmen.home / name / "build.yml").write_text(f"image: {name}\n")
    (dolmen.home / "image.yml").write_text("init: ['@pkg:./a', '@pkg:./b', '@pkg:./c']\n")
    other = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    for words in (("validate", "image.yml"), ("pkg", "build", "a", "b", "c")):
        failed = dolmen.run(*words, cwd=dolmen.home, env=other).stderr
        assert failed.count("error[DM0748]") == failed.count("error[") == 1
        cure = f"git config --global --add safe.directory {dolmen.home}"
        assert failed.count(cure) == 1
    assert (
        "image.yml:1:8: error"
        in dolmen.run("validate", "image.yml", cwd=dolmen.home, env=other).stderr
    )


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


@pytest.mark.parametrize(
    ("build_yml", "at", "code"),
    [
        ("image: p\n", "p/build.yml:1:8", "DM0741"),
        ("image: p\ndockerfile: Other\n", "p/build.yml:2:13", "DM0741"),
        ("image: p\narches: [amd64, x86]\n", "p/build.yml:2:17", "DM0203"),
    ],
)
def test_errors_of_packages_have_a_place(
    dolmen: Dolmen, build_yml: str, at: str, code: str
) -> None:
    (dolmen.home / "p").mkdir()
    (dolmen.home / "p" / "build.yml").write_text(build_yml)
    failed = dolmen.run("pkg", "build", "p", cwd=dolmen.home).stderr
    assert f"{at}: error[{code}]" in failed


@pytest.mark.parametrize(
    ("dockerfile", "at"),
    [
        (
            b"FROM scratch\nLABEL a=\xff\n",
            "p/Dockerfile:2:9: error[DM0740]: the byte 0xff is not UTF-8",
        ),
        (b"# nothing\n", "p/Dockerfile:1:1: error[DM0740]: the Dockerfile has no instructions"),
    ],
)
def test_errors_of_a_dockerfile_have_a_place(dolmen: Dolmen, dockerfile: bytes, at: str) -> None:
    (dolmen.home / "p").mkdir()
    (dolmen.home / "p" / "build.yml").write_text("image: p\n")
    (dolmen.home / "p" / "Dockerfile").write_bytes(dockerfile)
    assert at in dolmen.run("pkg", "build", "p", cwd=dolmen.home).stderr


def test_a_circle_of_packages_has_a_place(dolmen: Dolmen) -> None:
    for name, text, dockerfile in (
        ("a", "buildArgs: [X=1, 'Y=@dolmen:pkg:../b']\n", "FROM scratch\n"),
        ("b", "buildArgs: ['X=@dolmen:pkg:../c']\n", "FROM scratch\n"),
        ("c", "", "FROM scratch\nCOPY --from=o/a:1 / /\n"),
    ):
        (dolmen.home / name).mkdir()
        (dolmen.home / name / "build.yml").write_text(f"image: {name}\norg: o\n{text}")
        (dolmen.home / name / "Dockerfile").write_text(dockerfile)
    failed = dolmen.run("pkg", "build", "a", cwd=dolmen.home).stderr
    assert failed.startswith("a/build.yml:3:18: error[DM0733]")
    needed = [f"{dolmen.home}/a{path}" for path in ("", "/../b", "/../b/../c", "")]
    assert " needs ".join(needed) in failed
    (dolmen.home / "a" / "build.yml").write_text("image: a\norg: o\n")
    (dolmen.home / "a" / "Dockerfile").write_text("FROM scratch\nCOPY --from=o/b:1 / /\n")
    failed = dolmen.run("pkg", "build", "a", "b", "c", cwd=dolmen.home).stderr
    assert "a/Dockerfile:2:13: error[DM0733]" in failed


def test_a_tag_that_no_registry_accepts_has_a_place(dolmen: Dolmen) -> None:
    (dolmen.home / "p").mkdir()
    (dolmen.home / "p" / "build.yml").write_text("image: p\ntag: 'a b'\n")
    (dolmen.home / "p" / "Dockerfile").write_text("FROM scratch\n")
    failed = dolmen.run("pkg", "build", "p", cwd=dolmen.home).stderr
    assert "p/build.yml:2:6: error[DM0705]" in failed
    failed = dolmen.run("pkg", "build", "--tag", "a b", "p", cwd=dolmen.home).stderr
    assert "\nerror[DM0705]" in f"\n{failed}"


def test_a_file_of_build_arguments_has_places(dolmen: Dolmen) -> None:
    (dolmen.home / "p").mkdir()
    (dolmen.home / "p" / "build.yml").write_text("image: p\n")
    (dolmen.home / "args").write_text("# comment\n\n  WRONG\n")
    failed = dolmen.run("pkg", "build", "--build-arg-file", "args", "p", cwd=dolmen.home).stderr
    assert "args:3:3: error[DM0711]" in failed
    assert "write it as KEY=VALUE" in failed


def test_values_of_options_are_described_in_words(dolmen: Dolmen) -> None:
    (dolmen.home / "image.yml").write_text("init: []\n")
    failed = dolmen.run("build", "--jobs", "many", "image.yml", cwd=dolmen.home).stderr
    assert "'many' is not a whole number" in failed
    failed = dolmen.run("build", "--compression", "foo", "image.yml", cwd=dolmen.home).stderr
    assert "--compression: 'foo' is not a compression" in failed
    (dolmen.home / "tag.yml").write_text("services: [{name: a, image: 'b:1', uid: !!int abc}]\n")
    failed = dolmen.run("validate", "tag.yml", cwd=dolmen.home).stderr
    assert "is not of the type !!int: write a whole number, or leave the tag out" in failed
