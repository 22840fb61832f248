"""A user installs the wheel: its packages have the names and the bytes of the checkout's."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from pathlib import Path

import pytest

from assembler.catalog import catalog_directory, catalog_names
from assembler.oci import Image, Reference, Store, host_platform, look_up_image
from assembler.packages import hash_directory, read_package
from support.cli import Dolmen
from support.from_debian import skip_without_an_archive
from support.guest import LIMIT, free_port
from support.guests import HOME, needs_qemu
from support.nobody import LAUNCHER, home_of_nobody, why_not

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
PLATFORM = str(host_platform())
IMAGE = """\
kernel: {image: "@dolmen:kernel-virtual"}
init: ["@dolmen:init", "@dolmen:crun"]
services: [{name: web, image: "@dolmen:nginx"}]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the wheel."""
    root = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", root, REPOSITORY]
    subprocess.run([*PIP, *build], check=True)
    return next(root.glob("dolmen-*.whl"))


def install(wheel: Path, venv: Path, umask: int = 0o022) -> Path:
    """Install the wheel, beside the libraries of this environment; return the Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    site = next((venv / "lib").glob("python3*/site-packages"))
    command = [*PIP, "install", "--no-deps", "--target", site, wheel]
    subprocess.run(command, check=True, umask=umask)
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return venv / "bin" / "python"


def run(
    python: Path, work: Path, *words: str, launcher: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the command away from the checkout."""
    return subprocess.run(
        [*launcher, python, "-m", "dolmen", *words],
        cwd=work,
        env={"HOME": str(work), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def tags(python: Path, work: Path, launcher: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the tags of all packages, as the installed command names them."""
    names = [f"@dolmen:{name}" for name in catalog_names()]
    done = run(python, work, "pkg", "show-tag", *names, launcher=launcher)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return dict(line.split("/")[1].split(":") for line in done.stdout.splitlines())


def expected(name: str) -> str:
    """Return the tag of a package of this checkout: the hash of all its files."""
    package = read_package(catalog_directory(name))
    found = [package.directory / extra.source for extra in package.build.extra_sources]
    hashes = [hash_directory(directory) for directory in (package.directory, *found)]
    if not found:
        return hashes[0]
    return hashlib.sha1("".join(hashes).encode(), usedforsecurity=False).hexdigest()


EXPECTED = {name: expected(name) for name in catalog_names()}


@pytest.mark.parametrize("umask", [0o022, 0o077], ids=["umask-022", "umask-077"])
def test_the_tags_are_those_of_the_checkout(wheel: Path, tmp_path: Path, umask: int) -> None:
    python = install(wheel, tmp_path / "venv", umask)
    assert tags(python, tmp_path) == EXPECTED
    listed = json.loads(run(python, tmp_path, "pkg", "list", "--json").stdout)
    assert {package["name"]: package["tag"] for package in listed} == EXPECTED


def test_the_checkout_names_its_packages_by_the_same_tags(tmp_path: Path) -> None:
    status = ["git", "-C", str(REPOSITORY), "status", "--porcelain", "pkg", "kernel"]
    if subprocess.run(status, capture_output=True, check=True).stdout:
        pytest.skip("packages have changes that are not committed")
    directories = [str(catalog_directory(name)) for name in catalog_names()]
    done = run(Path(sys.executable), tmp_path, "pkg", "show-tag", *directories)
    assert [line.split(":")[1] for line in done.stdout.splitlines()] == [*EXPECTED.values()]


@pytest.mark.parametrize("pattern", [".venv", "none"], ids=["ignored", "untracked"])
def test_a_repository_around_the_environment_has_no_effect(
    wheel: Path, tmp_path: Path, pattern: str
) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    (tmp_path / ".gitignore").write_text(f"{pattern}\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    python = install(wheel, tmp_path / ".venv")
    assert tags(python, tmp_path) == EXPECTED
    if pattern != ".venv":
        for words in (["add", "-A"], ["commit", "-q", "-m", "x"]):
            subprocess.run([*git, *words], check=True)
        assert tags(python, tmp_path) == EXPECTED


def test_another_user_may_only_read_the_environment(wheel: Path) -> None:
    if why_not():
        pytest.skip(why_not())
    with home_of_nobody() as home, tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        python = install(wheel, Path(folder) / "venv")
        assert tags(python, home, LAUNCHER) == EXPECTED


def test_an_image_names_packages_of_the_wheel(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "venv")
    (tmp_path / "image.yml").write_text(IMAGE)
    assert run(python, tmp_path, "validate", "image.yml").returncode == 0
    shown = run(python, tmp_path, "build", "--dry-run", "--offline", "image.yml").stdout
    for name in ("kernel-virtual", "init", "crun", "nginx"):
        assert f"docker.io/dolmen/{name}:{EXPECTED[name]}\n" in shown


def test_an_unknown_name_says_which_is_meant(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "venv")
    (tmp_path / "image.yml").write_text(IMAGE.replace("nginx", "ngnix"))
    done = run(python, tmp_path, "validate", "image.yml")
    assert done.returncode == 1
    assert "image.yml:3:31: error[DM0750]" in done.stderr
    assert "did you mean @dolmen:nginx?" in done.stderr


@pytest.mark.parametrize("name", ["init", "dhcp", "kernel-virtual"])
def test_an_image_has_the_bytes_of_the_checkouts(wheel: Path, tmp_path: Path, name: str) -> None:
    """A Go program, a recipe with files, and a kernel, built once more over the same image."""
    status = ["git", "-C", str(REPOSITORY), "status", "--porcelain", "pkg", "kernel"]
    if subprocess.run(status, capture_output=True, check=True).stdout:
        pytest.skip("packages have changes that are not committed")
    HOME.mkdir(parents=True, exist_ok=True)
    built = Dolmen(HOME).run("pkg", "build", "--platforms", PLATFORM, catalog_directory(name))
    skip_without_an_archive(built)
    assert built.returncode == 0, built.stderr
    reference = Reference.parse(built.stdout.strip())
    store = Store(HOME / ".cache" / "dolmen")
    expected = look_up_image(store, reference, host_platform())
    assert isinstance(expected, Image)
    python = install(wheel, tmp_path / "venv", 0o077)
    words = ("--cache", str(store.root), "pkg", "build", "--force", "--platforms", PLATFORM)
    again = run(python, tmp_path, *words, f"@dolmen:{name}")
    assert again.returncode == 0, again.stderr
    assert f"build dolmen/{name}" in again.stderr
    found = look_up_image(store, reference, host_platform())
    assert isinstance(found, Image)
    assert found.digest == expected.digest


@needs_qemu
@pytest.mark.boot
def test_an_image_of_the_wheel_boots_and_its_page_answers(wheel: Path, tmp_path: Path) -> None:
    """One command builds what is missing, and starts the machine; images are kept."""
    python = install(wheel, tmp_path / "venv")
    dhcp = 'onboot: [{name: dhcp, image: "@dolmen:dhcp"}]\n'
    kernel = 'image: "@dolmen:kernel-virtual", cmdline: "console=ttyS0"'
    text = IMAGE.replace('image: "@dolmen:kernel-virtual"', kernel) + dhcp
    (tmp_path / "image.yml").write_text(text)
    HOME.mkdir(parents=True, exist_ok=True)
    store = ("--cache", str(HOME / ".cache" / "dolmen"))
    port = free_port()
    wait = ("--wait-port", str(port), "--timeout", f"{LIMIT}s")
    words = ("run", "qemu", "--detached", "--arch", "amd64", "--publish", f"{port}:80", *wait)
    try:
        started = run(python, tmp_path, *store, *words, "image.yml")
        skip_without_an_archive(started)
        assert started.returncode == 0, started.stderr
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT) as page:
            assert b"This page comes from nginx" in page.read()
    finally:
        run(python, tmp_path, *store, "stop", "image")
