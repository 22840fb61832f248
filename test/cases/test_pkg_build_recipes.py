"""A user builds images of Debian packages, from a private archive."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from assembler.debian.engine_context import EngineContext
from assembler.debian.engines import select_engine
from assembler.debian.pool import PackagePool
from assembler.debian.sources import DebianMirrors
from assembler.dockerfile.builders import Builders
from assembler.events import NullReporter
from assembler.oci.image_sources import ImageSources
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, read_attestations
from assembler.packages import BuildContext, PackageJob, build_package
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming, derive_name
from support.debian import Deb, Link, make_archive
from support.recipes import (
    ENGINES,
    LIBRARY,
    RECIPE,
    TOOL,
    Packages,
    both,
    commit,
    git,
    make_package,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return make_archive(tmp_path / "archive", [*both(LIBRARY), *both(TOOL)])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "work" / "tool")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def pkg(dolmen: Dolmen, archive: Path, tmp_path: Path, engine: str) -> Packages:
    return Packages(dolmen, archive, tmp_path / "store", engine)


def test_an_image_for_every_architecture(pkg: Packages, package: Path) -> None:
    name = pkg.build(package)
    store = Store(pkg.store)
    for arch in ("amd64", "arm64"):
        image = find_image(store, Reference.parse(name), Platform("linux", arch))
        assert image.config.cmd == ("/usr/bin/tool",)
        assert json.loads(image.config.labels["org.mobyproject.config"]) == {
            "binds": ["/etc/x:/etc/x"]
        }
        assert image.manifest.annotations["dolmen.debs"] == "libtool 2:1.0+b1; tool 1.0"
        alone = find_image(store, Reference.parse(f"{name}-{arch}"), Platform("linux", arch))
        assert alone.digest == image.digest
        layer = pkg.layer(name, arch)
        assert {"usr/bin/tool", "usr/lib/libtool.so", "bin"} <= set(layer.getnames())


def test_the_image_lists_its_packages(pkg: Packages, package: Path) -> None:
    name = pkg.build(package, "--platforms", "linux/arm64")
    store = Store(pkg.store)
    image = find_image(store, Reference.parse(name), Platform("linux", "arm64"))
    (manifest,) = read_attestations(store, image)
    (layer,) = manifest.layers
    assert layer.annotations["in-toto.io/predicate-type"] == "https://spdx.dev/Document"
    statement = json.loads(store.read(layer))
    assert statement["subject"][0]["digest"]["sha256"] == image.digest.partition(":")[2]
    document: dict[str, Any] = statement["predicate"]
    assert [p["name"] for p in document["packages"]] == ["libtool", "tool"]
    purl = document["packages"][0]["externalRefs"][0]["referenceLocator"]
    assert purl == "pkg:deb/debian/libtool@2:1.0%2Bb1?arch=arm64&distro=trixie"


def test_an_existing_image_is_not_built_again(pkg: Packages, package: Path, tmp_path: Path) -> None:
    name = pkg.build(package, "--platforms", "amd64")
    # Another architecture is added to the image, and needs no more than itself.
    assert pkg.build(package) == name
    names = {n for e in Store(pkg.store).names().entries for n in e.names}
    assert {n.rpartition("-")[2] for n in names} >= {"amd64", "arm64"}
    empty = tmp_path / "bin"
    empty.mkdir()
    (empty / "git").symlink_to(shutil.which("git") or "")
    done = pkg.run("build", package, PATH=str(empty))
    assert (done.returncode, done.stdout.strip()) == (0, name)
    assert "up to date" in done.stderr
    forced = pkg.run("build", "--force", package, PATH=str(empty))
    if pkg.env["DOLMEN_RECIPE_ENGINE"] == "apt":
        assert forced.returncode == 1
        assert "apt-get install apt" in forced.stderr
    assert pkg.run("build", "--force", "--recipe-engine", "auto", package, PATH=str(empty)).stdout
    assert pkg.run("build", "--recipe-engine", "dnf", package).returncode == 2


def test_a_tag_of_its_own_goes_with_the_plain_hash(pkg: Packages, package: Path) -> None:
    (package / "build.yml").write_text(RECIPE + "tag: v1-{{.Hash}}\n")
    commit(package)
    name = pkg.build(package, "--platforms", "amd64")
    head, _, tag = name.partition(":")
    assert tag.startswith("v1-")
    assert pkg.digest(f"{head}:{tag.removeprefix('v1-')}") == pkg.digest(name)


def test_the_same_recipe_is_the_same_image_anywhere(
    dolmen: Dolmen, pkg: Packages, package: Path, archive: Path, tmp_path: Path
) -> None:
    name = pkg.build(package)
    elsewhere = tmp_path / "else" / "where"
    elsewhere.parent.mkdir()
    git(tmp_path, "clone", "-q", str(package.parent), str(elsewhere))
    other = Packages(dolmen, archive, tmp_path / "other")
    before = os.umask(0o077)
    try:
        assert other.build(elsewhere / "tool", TZ="Asia/Tokyo", LC_ALL="C.UTF-8") == name
    finally:
        os.umask(before)
    assert other.digest(name) == pkg.digest(name)
    assert Store(other.store).names().named(str(Reference.parse(name)))[0].descriptor == (
        Store(pkg.store).names().named(str(Reference.parse(name)))[0].descriptor
    )


def test_a_lock_holds_the_packages(pkg: Packages, package: Path, archive: Path) -> None:
    done = pkg.run("lock", package)
    assert done.returncode == 0, done.stderr
    lock = package / "debs.lock"
    assert done.stdout.strip() == str(lock)
    text = lock.read_text()
    commit(package)
    name = pkg.build(package)

    newer = Deb("tool", "2.0", files={"usr/bin/tool": b"newer"}, fields=TOOL.fields)
    make_archive(archive, [*both(LIBRARY), *both(TOOL), *both(newer)])
    pkg.build("--force", "--refresh", package)
    assert pkg.layer(name).extractfile("usr/bin/tool").read() == b"amd64"  # type: ignore[union-attr]
    assert pkg.run("lock", package).returncode == 0
    assert lock.read_text() != text
    commit(package)
    newer_name = pkg.build(package)
    assert newer_name != name
    content = pkg.layer(newer_name).extractfile("usr/bin/tool")
    assert content is not None
    assert content.read() == b"newer"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_flipped_bit_of_a_kept_package(
    dolmen: Dolmen, package: Path, archive: Path, tmp_path: Path, engine: str
) -> None:
    """Its size and times are the same: only the digest of the index tells."""
    pkg = Packages(dolmen, archive, tmp_path / "store", engine)
    name = pkg.build("--platforms", "linux/amd64", package)
    digest = pkg.digest(name)

    def damage() -> None:
        for path in (pkg.store / "debs" / "pool").glob("*.deb"):
            data, times = bytearray(path.read_bytes()), path.stat()
            data[-20] ^= 1
            path.write_bytes(data)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    damage()
    done = pkg.run("build", "--force", "--platforms", "linux/amd64", package)
    assert done.returncode == 0, done.stderr
    assert "warning[DM0749]" in done.stderr
    assert pkg.digest(name) == digest
    verified = dolmen.run("cache", "verify", "--cache", pkg.store)
    assert (verified.returncode, "packages and toolchains" in verified.stdout) == (0, True)
    damage()
    verified = dolmen.run("cache", "verify", "--cache", pkg.store)
    assert verified.stdout.count("removed, recipes download it again") == 2, verified.stdout
    done = pkg.run("build", "--force", "--platforms", "linux/amd64", package)
    assert (done.returncode, "DM0749" in done.stderr) == (0, False)
    assert pkg.digest(name) == digest


@pytest.mark.parametrize("suffix", [".packages", "lists"])
def test_a_flipped_bit_of_a_package_list(
    dolmen: Dolmen, package: Path, archive: Path, tmp_path: Path, suffix: str
) -> None:
    """It would choose other packages, or end each build until the list is renewed."""
    pkg = Packages(dolmen, archive, tmp_path / "store", "python")
    words = ("build", "--force", "--platforms", "linux/amd64", package)
    digest = pkg.digest(pkg.build("--platforms", "linux/amd64", package))
    (path,) = (p for p in (pkg.store / "debs" / "python").rglob("*") if p.name.endswith(suffix))
    right = path.read_bytes()
    for at in range(0, len(right), 37):
        times = path.stat()
        path.write_bytes(right[:at] + bytes([right[at] ^ 2]) + right[at + 1 :])
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        done = pkg.run(*words)
        assert done.returncode == 0, done.stderr
        assert path.read_bytes() == right
    assert pkg.digest(pkg.build(*words[1:])) == digest


def test_a_locked_version_that_is_gone(
    dolmen: Dolmen, pkg: Packages, package: Path, archive: Path, tmp_path: Path
) -> None:
    assert pkg.run("lock", package).returncode == 0
    commit(package)
    pkg.build(package)
    shutil.rmtree(archive)
    newer = Deb("tool", "2.0", fields=TOOL.fields)
    make_archive(archive, [*both(LIBRARY), *both(newer)])
    # What was fetched once is kept; a machine that never had it cannot have it any more.
    pkg.build("--force", package)
    other = Packages(dolmen, archive, tmp_path / "other")
    done = other.run("build", package)
    assert done.returncode == 1
    assert "DM0727" in done.stderr
    assert "tool 1.0" in done.stderr
    assert "dolmen pkg lock" in done.stderr


def test_a_lock_of_another_recipe(pkg: Packages, package: Path) -> None:
    assert pkg.run("lock", package).returncode == 0
    (package / "build.yml").write_text(RECIPE.replace("[tool]", "[tool, libtool]"))
    done = pkg.run("build", package)
    assert (done.returncode, "DM0729" in done.stderr) == (1, True)
    (package / "debs.lock").write_text('{"version": 1}')
    done = pkg.run("build", package)
    assert (done.returncode, "DM0729" in done.stderr) == (1, True)


def test_excluded_packages_and_single_architectures(pkg: Packages, package: Path) -> None:
    text = RECIPE.replace(
        "packages: [tool]", 'packages: [tool, "other [arm64]"]\n  exclude: [libtool]'
    )
    (package / "build.yml").write_text(text)
    done = pkg.run("build", "--platforms", "amd64", package)
    assert done.returncode == 0, done.stderr
    assert "usr/lib/libtool.so" not in pkg.layer(done.stdout.strip()).getnames()
    done = pkg.run("build", package)
    assert "other" in done.stderr
    assert "DM0726" in done.stderr
    (package / "build.yml").write_text(RECIPE + "  no-deps: true\n")
    done = pkg.run("build", "--platforms", "amd64", package)
    assert done.returncode == 0, done.stderr
    assert "usr/lib/libtool.so" not in pkg.layer(done.stdout.strip()).getnames()


def test_an_excluded_package_is_not_installed_as_a_dependency(
    pkg: Packages, package: Path, archive: Path
) -> None:
    # apt brings packages of one source up to date together.
    kin = {"Source": "kit", "Multi-Arch": "same"}
    told = {**kin, "Installed-Size": "10", "Breaks": "something"}
    base = Deb("kit-base", "1.0", files={"usr/base": b""}, fields=told)
    needs = {**kin, "Depends": "kit-base (= 1.0)"}
    make_archive(archive, [base, Deb("tool", files={"usr/bin/tool": b"x"}, fields=needs)])
    text = RECIPE.replace("packages: [tool]", "packages: [tool]\n  exclude: [kit-base]")
    (package / "build.yml").write_text(text)
    name = pkg.build("--platforms", "amd64", package)
    assert "usr/bin/tool" in pkg.layer(name).getnames()
    assert "usr/base" not in pkg.layer(name).getnames()


def test_a_kernel(pkg: Packages, package: Path, archive: Path) -> None:
    files = {
        "boot/vmlinuz-6.1": b"kernel",
        "usr/lib/modules/6.1/modules.order": b"",
        "usr/lib/modules/6.1/build": Link("/usr/src/x"),
    }
    image = Deb("linux-image-6.1-amd64", files=files, fields={"Depends": "libtool"})
    meta = Deb("linux-image-amd64", fields={"Depends": "linux-image-6.1-amd64"})
    make_archive(archive, [*both(LIBRARY), image, meta])
    (package / "build.yml").write_text(
        "image: k\narches: [amd64]\n"
        "debs: {suite: trixie, packages: [linux-image-amd64], kernel: true}\n"
    )
    layer = pkg.layer(pkg.build(package))
    assert layer.getnames()[:2] == ["kernel", "kernel.tar"]
    kernel_tar = layer.extractfile("kernel.tar")
    assert kernel_tar is not None
    with tarfile.open(fileobj=io.BytesIO(kernel_tar.read())) as modules:
        assert "usr/lib/modules/6.1/modules.dep.bin" in modules.getnames()
        assert "usr/lib/modules/6.1/build" not in modules.getnames()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("packages: [nothing]", "DM0726", "Unable to locate package nothing"),
        ("packages: [tool=9]", "DM0727", "was not found"),
        ("packages: ['--help']", "DM0720", "not the name"),
        ("packages: [tool-]", "DM0720", "not the name"),
        ("packages: []", "DM0720", "no packages"),
        ("packages: [tool]\n  exclude: [nope]", "DM0726", "to exclude does not exist"),
        ("packages: [tool]\n  components: [contrib]", "DM0726", "Unable to locate"),
    ],
)
def test_missing_packages_are_an_error(
    pkg: Packages, package: Path, change: str, code: str, words: str
) -> None:
    (package / "build.yml").write_text(RECIPE.replace("packages: [tool]", change))
    done = pkg.run("build", package)
    assert done.returncode == 1
    assert code in done.stderr, done.stderr
    assert words in done.stderr
    assert Store(pkg.store).names().entries == ()


def test_an_archive_that_cannot_be_trusted(pkg: Packages, package: Path, archive: Path) -> None:
    done = pkg.run("build", package, DOLMEN_DEBIAN_MIRROR=f"file:{archive}")
    assert done.returncode == 1
    assert "DM0725" in done.stderr
    assert "not signed" in done.stderr or "insecure" in done.stderr
    done = pkg.run("build", package, DOLMEN_DEBIAN_MIRROR="[trusted=yes] file:/nowhere")
    assert (done.returncode, "DM0721" in done.stderr) == (1, True)


def test_a_package_that_is_not_what_the_index_says(
    pkg: Packages, package: Path, archive: Path
) -> None:
    path = archive / TOOL.path
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    done = pkg.run("build", "--platforms", "amd64", package)
    assert done.returncode == 1
    assert "DM0724" in done.stderr or "DM0727" in done.stderr
    assert "Hash" in done.stderr or "sha256" in done.stderr
    path.write_bytes(TOOL.build())
    pkg.build("--platforms", "amd64", package)


def test_two_builds_at_once(pkg: Packages, package: Path) -> None:
    words = ["pkg", "build", "--cache", str(pkg.store), str(package)]
    command = [sys.executable, "-m", "dolmen", *words]
    environment = pkg.dolmen.environment(pkg.env)
    running = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert sorted("up to date" in errors for _, errors in said) == [False, True]


def test_a_package_without_a_recipe_is_an_error(pkg: Packages, package: Path) -> None:
    (package / "build.yml").write_text("image: tool\n")
    done = pkg.run("build", package)
    assert (done.returncode, "DM0741" in done.stderr) == (1, True)
    done = pkg.run("lock", package)
    assert (done.returncode, "DM0720" in done.stderr) == (1, True)
    (package / "build.yml").write_text(RECIPE)
    done = pkg.run("build", "--platforms", "riscv64", package)
    assert (done.returncode, "DM0731" in done.stderr) == (1, True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_an_unprivileged_user_can_build(
    archive: Path, package: Path, tmp_path: Path, engine: str
) -> None:
    shutil.rmtree(package.parent / ".git")
    stores = tmp_path / "roots", tmp_path / "nobodys"
    stores[1].mkdir()
    os.chown(stores[1], 65534, 65534)
    for path in (tmp_path, *tmp_path.parents):
        path.chmod(path.stat().st_mode | 0o111)
    # The first build imports everything: where the interpreter is, others may not look.
    made = build_by_hand(archive, package, stores[0], engine)
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        same = False
        with contextlib.suppress(BaseException):
            same = build_by_hand(archive, package, stores[1], engine) == made
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {p.stat().st_uid for p in stores[1].rglob("*")} == {65534}


def build_by_hand(archive: Path, package: Path, store: Path, name: str) -> str:
    mirrors = DebianMirrors((f"[trusted=yes] file:{archive}",))
    engine = select_engine(name, EngineContext(PackagePool(store / "debs"), mirrors, 0))
    found = read_package(package)
    job = PackageJob(found, derive_name(found, Naming()), (Platform(),))
    means = BuildContext(
        engine, ImageSources(store=store, offline=True), Builders(store, NullReporter())
    )
    built = build_package(Store(store), job, means, NullReporter()).name
    return find_image(Store(store), Reference.parse(built), Platform()).digest


class Proxy(http.server.BaseHTTPRequestHandler):
    """An http proxy that has an archive behind every name, and keeps what it was asked for."""

    archive: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.archive / unquote(urlsplit(self.path).path).lstrip("/")
        content = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_archives_use_the_settings_of_the_hosts_apt(
    pkg: Packages, package: Path, archive: Path, tmp_path: Path, engine: str
) -> None:
    asked: list[str] = []
    handler = type("Handler", (Proxy,), {"archive": archive, "asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        machine = tmp_path / "apt.conf"
        machine.write_text(
            f'Acquire::http::Proxy "{proxy}";\n'
            f'APT::Update::Pre-Invoke {{ "touch {tmp_path}/hook"; }};\n'
        )
        said = {"APT_CONFIG": str(machine)} if engine == "apt" else {"http_proxy": proxy}
        pkg.build(
            *("--platforms", "amd64", package),
            DOLMEN_DEBIAN_MIRROR="[trusted=yes] http://mirror.invalid/",
            **said,
        )
        server.shutdown()
    assert any(a.startswith("http://mirror.invalid/dists/trixie/") for a in asked)
    assert any(a.endswith(".deb") for a in asked)
    # Nothing else of the machine's configuration has a say: its hooks are not run.
    assert not (tmp_path / "hook").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_running(
    pkg: Packages, package: Path, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        environment = {"DOLMEN_DEBIAN_MIRROR": f"[trusted=yes] http://127.0.0.1:{port}/"}
        words = ["pkg", "build", "--cache", str(pkg.store), str(package)]
        process = subprocess.Popen(
            [sys.executable, "-m", "dolmen", *words],
            env=pkg.dolmen.environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent.accept()
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
        assert (process.returncode, out) == (128 + number, "")
        assert "Traceback" not in errors
        # Whoever held the connection is gone: what it has sent ends.
        connection.settimeout(10)
        while connection.recv(4096):
            pass
        connection.close()
    assert Store(pkg.store).names().entries == ()
