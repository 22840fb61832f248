"""A user builds packages whose Dockerfiles run programs, without a daemon."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.errors import DolmenError, PackageError
from assembler.oci.platform import Platform, host_platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from support.dockerfiles import Kitchen, kitchen_with_a_shell, programs_running, wait_until
from support.nobody import why_not

if TYPE_CHECKING:
    from support.cli import Dolmen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed"),
    pytest.mark.skipif(os.getuid() != 0, reason="the test's base is made for root"),
]
HERE = host_platform()
ELSEWHERE = Platform("linux", "arm64" if HERE.architecture == "amd64" else "amd64")


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    """Give a store with a base that has a shell: this machine's, as a package of its own."""
    return kitchen_with_a_shell(tmp_path)


def test_run_executes_a_program(kitchen: Kitchen) -> None:
    dockerfile = """
FROM example/base:1 AS build
ARG MINE TARGETARCH
COPY src /src
RUN mkdir /out && cat /src/a > /out/$MINE-$TARGETARCH && \\
    echo "$BASE" >> /out/$MINE-$TARGETARCH
FROM scratch AS unneeded
COPY missing /
FROM scratch
COPY --from=build /out /
ENTRYPOINT ["/x"]
"""
    build_yml = "image: app\norg: example\nconfig: {net: host}\n"
    package = kitchen.package(dockerfile, {"src/a": b"content\n"}, build_yml)
    kitchen.build(package, HERE, arguments=("MINE=m",))
    found, content = kitchen.tree(platform=HERE)[f"m-{HERE.architecture}"]
    assert (content, found.mtime) == (b"content\n1\n", 0)
    config = kitchen.config(platform=HERE)["config"]
    assert config["Entrypoint"] == ["/x"]
    assert config["Labels"] == {"org.mobyproject.config": '{"net": "host"}'}
    digest = kitchen.image(platform=HERE).digest
    # Again, with another storage, umask and time.
    shutil.rmtree(kitchen.store.root / "buildah")
    (package / "src" / "a").touch()
    before = os.umask(0o077)
    try:
        kitchen.build(package, HERE, arguments=("MINE=m",), force=True)
    finally:
        os.umask(before)
    assert kitchen.image(platform=HERE).digest == digest
    assert not list((kitchen.store.root / "building").iterdir())


def test_layers_of_the_base_are_those_of_the_store(kitchen: Kitchen) -> None:
    kitchen.build(kitchen.package("FROM example/base:1\nRUN mkdir /made\n"), HERE)
    base = kitchen.image("example/base:1", HERE)
    image = kitchen.image(platform=HERE)
    assert image.manifest.layers[:1] == base.manifest.layers
    assert "BASE=1" in image.config.env
    assert base.digest in image.manifest.annotations["dolmen.inputs"]


def wrapper(folder: Path, program: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a script before a program of this machine in PATH; it knows the program as $REAL."""
    folder.mkdir(exist_ok=True)
    path = folder / program
    path.write_text(f"#!/bin/sh\nREAL={shutil.which(program)}\n{script}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_buildah_that_leaves_pulled_images_without_a_name(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the one of Debian 13 does."""
    script = """case " $* " in
*" pull "*)
  for name; do :; done
  mv "${name#oci:}" other
  exec "$REAL" $(echo "$@" | sed "s/$name/oci:other/") ;;
*) exec "$REAL" "$@" ;;
esac
"""
    wrapper(tmp_path / "bin", "buildah", script, monkeypatch)
    kitchen.build(kitchen.package("FROM example/base:1\nRUN mkdir /made\n"), HERE)
    assert "made" in kitchen.tree(platform=HERE)


def test_a_machine_without_namespaces(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is said, and nothing is left."""
    script = 'echo "unshare: unshare failed: Operation not permitted" >&2; exit 1\n'
    wrapper(tmp_path / "bin", "setpriv", script, monkeypatch)
    with pytest.raises(DolmenError) as caught:
        kitchen.build(kitchen.package("FROM example/base:1\nRUN mkdir /made\n"), HERE)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code.number == 806
    assert "Operation not permitted" in diagnostic.message
    assert not list((kitchen.store.root / "building").iterdir())


def test_a_step_that_fails_is_shown(kitchen: Kitchen) -> None:
    package = kitchen.package(
        "FROM example/base:1 AS one\nRUN mkdir /a\nFROM one\nRUN echo before; \\\n  cat /nothing\n"
    )
    with pytest.raises(PackageError) as caught:
        kitchen.build(package, HERE)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.place is not None
    assert diagnostic.place.line == 4
    # Which comes first is up to buildah, which reads the two streams of a step separately.
    lines = diagnostic.message.splitlines()
    assert "before" in lines
    assert any(line.startswith("cat: /nothing: No such file") for line in lines)
    assert "  4 | RUN echo before" in str(caught.value)
    assert not list((kitchen.store.root / "building").iterdir())
    containers = ("buildah", "--root", kitchen.store.root / "buildah" / "root", "containers", "-q")
    assert not subprocess.run(containers, capture_output=True, check=True).stdout.split()


def test_heredocs(kitchen: Kitchen) -> None:
    dockerfile = """FROM example/base:1 AS build
ENV WHO=me
RUN <<EOF
mkdir /out
echo "it's $WHO" \\
  and more > "/out/a b"
EOF
RUN --mount=type=cache,target=/c --mount=type=bind,source=src,target=/src cat - /src/x <<-X > /out/b
\tin $BASE
X
COPY <<EOF /out/c
of ${WHO}
EOF
FROM example/base:1
COPY --from=build /out/ /out/
"""
    kitchen.build(kitchen.package(dockerfile, {"src/x": b"x\n"}), HERE)
    tree = kitchen.tree(platform=HERE)
    assert tree["out/a b"][1] == b"it's me and more\n"
    assert tree["out/b"][1] == b"in 1\nx\n"
    assert tree["out/c"][1] == b"of me\n"
    assert (tree["out/c"][0].mode & 0o777, tree["out/c"][0].mtime) == (0o644, 0)
    for wrong, message in (
        ("RUN <<EOF\n#!/bin/cat\nEOF\n", "a heredoc with an interpreter"),
        ("COPY <<EOF src /x/\nEOF\nRUN true\n", "COPY with a heredoc and other sources"),
    ):
        package = kitchen.package(f"FROM example/base:1\n{wrong}", name="wrong")
        with pytest.raises(PackageError, match=message) as caught:
            kitchen.build(package, HERE, hash="2")
        assert caught.value.diagnostics[0].place is not None
        assert caught.value.diagnostics[0].place.line == 2


def test_network_access_needs_an_option(kitchen: Kitchen) -> None:
    package = kitchen.package("FROM example/base:1\nRUN cat /proc/net/dev > /net\n")
    kitchen.build(package, HERE)
    devices = kitchen.tree(platform=HERE)["net"][1].decode().splitlines()[2:]
    assert [d.split(":")[0].strip() for d in devices] == ["lo"]


def test_programs_of_another_platform_need_emulation(kitchen: Kitchen) -> None:
    package = kitchen.package(
        "FROM --platform=$BUILDPLATFORM example/base:1 AS build\nARG TARGETARCH\n"
        "RUN echo for $TARGETARCH > /made\nFROM scratch\nCOPY --from=build /made /\n"
    )
    kitchen.build(package, HERE, ELSEWHERE)
    made = kitchen.tree(platform=ELSEWHERE)["made"][1]
    assert made == f"for {ELSEWHERE.architecture}\n".encode()
    assert kitchen.image(platform=ELSEWHERE).config.platform == ELSEWHERE
    if any(Path("/proc/sys/fs/binfmt_misc").glob("qemu-*")):
        return  # here it would work
    dockerfile = "FROM scratch\nCOPY Dockerfile /\nRUN true\n"
    with pytest.raises(DolmenError, match="cannot run") as caught:
        kitchen.build(kitchen.package(dockerfile, name="other"), ELSEWHERE, hash="2")
    assert "--platform=$BUILDPLATFORM" in str(caught.value)


def test_an_interrupted_build_leaves_nothing(kitchen: Kitchen, dolmen: Dolmen) -> None:
    package = kitchen.package(
        "FROM example/base:1\nRUN sleep 4321\n",
        build_yml=f"image: app\norg: example\narches: [{HERE.architecture}]\n",
    )
    command = [sys.executable, "-m", "dolmen", "-v", "pkg", "build", "--hash", "h"]
    process = subprocess.Popen(
        [*command, "--cache", kitchen.store.root, package],
        env=dolmen.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: bool(programs_running("sleep", "4321")))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    wait_until(lambda: not programs_running("sleep", "4321"))
    assert not list((kitchen.store.root / "building").iterdir())
    names = {n for e in Store(kitchen.store.root).names().entries for n in e.names}
    assert not any("app" in n for n in names)
    containers = ("buildah", "--root", kitchen.store.root / "buildah" / "root", "containers", "-q")
    assert not subprocess.run(containers, capture_output=True, check=True).stdout.split()


def test_the_next_build_removes_the_files_of_a_killed_one(kitchen: Kitchen, dolmen: Dolmen) -> None:
    kitchen.package("FROM example/base:1\nRUN sleep 4323\n")
    package = kitchen.root / "app"
    command = [sys.executable, "-m", "dolmen", "pkg", "build", "--hash", "h", "--offline"]
    process = subprocess.Popen(
        [*command, "--platforms", str(HERE), "--cache", kitchen.store.root, package],
        env=dolmen.environment(),
        start_new_session=True,
    )
    wait_until(lambda: bool(programs_running("sleep", "4323")))
    process.kill()
    process.wait()
    left = kitchen.store.root / "building"
    assert list(left.iterdir())
    wait_until(lambda: not programs_running("sleep", "4323"))
    kitchen.build(kitchen.package("FROM example/base:1\nRUN mkdir /made\n"), HERE)
    assert not list(left.iterdir())
    containers = ("buildah", "--root", kitchen.store.root / "buildah" / "root", "containers", "-q")
    assert not subprocess.run(containers, capture_output=True, check=True).stdout.split()


def test_another_requested_builder_causes_a_rebuild(kitchen: Kitchen, dolmen: Dolmen) -> None:
    package = kitchen.package("FROM example/base:1\nRUN mkdir /made\n")
    kitchen.build(package, HERE)
    options = ("--hash", "h", "--platforms", HERE, "--cache", kitchen.store.root, package)

    def said(*words: str) -> str:
        done = dolmen.run("pkg", *words, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert "nothing to build" in said("build", "--offline")
    assert "nothing to build" in said("build", "--offline", "--builder", "buildah")
    assert "because of builder" in said("build", "--dry-run", "--builder", "docker")
    assert "changed since it was built: builder" in said("inputs", "--builder", "buildkit")
    assert "(up to date)" in said("inputs")


def test_prune_clears_the_builders_storage(kitchen: Kitchen, dolmen: Dolmen) -> None:
    kitchen.build(kitchen.package("FROM example/base:1\nRUN mkdir /made\n"), HERE)
    words = ("pkg", "builder", "--cache", kitchen.store.root)
    done = dolmen.run(*words, "du")
    assert done.stdout.startswith("images")
    storage = kitchen.store.root / "buildah"
    with (storage / "use.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        busy = dolmen.run(*words, "prune")
        assert (busy.returncode, "is being built" in busy.stderr) == (1, True)
    done = dolmen.run(*words, "prune")
    assert done.returncode == 0, done.stderr
    command = ("buildah", "--root", storage / "root", "images", "-q")
    assert not subprocess.run(command, capture_output=True, check=True).stdout.split()
    kitchen.build(kitchen.package("FROM example/base:1\nRUN mkdir /made\n"), HERE, force=True)


@pytest.mark.skipif(not shutil.which("newuidmap"), reason="newuidmap is not installed")
def test_an_unprivileged_user_can_build(kitchen: Kitchen, tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    dockerfile = "FROM example/base:1\nRUN mkdir /made && cat /proc/net/dev > /made/net\n"
    package = kitchen.package(dockerfile)
    kitchen.build(package, HERE)
    home, subordinate = tmp_path / "nobody", tmp_path / "subordinate"
    home.mkdir()
    shutil.copytree(kitchen.store.root / "blobs", home / "store" / "blobs")
    shutil.copy(kitchen.store.root / "index.json", home / "store")
    for path in (home, *home.rglob("*")):
        os.chown(path, 65534, 65534)
    for path in (tmp_path, *tmp_path.parents):
        path.chmod(path.stat().st_mode | 0o111)
    subordinate.write_text("nobody:200000:65536\n")
    # The numbers that nobody may use are given for this test alone.
    script = f"""
        mount --bind {subordinate} /etc/subuid && mount --bind {subordinate} /etc/subgid &&
        exec setpriv --reuid=65534 --regid=65534 --clear-groups {sys.executable} -B -m dolmen \\
            pkg build --offline --force --hash h --platforms {HERE} --cache {home}/store {package}
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "USER": "nobody"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reference = Reference.parse("example/app:h")
    assert (
        find_image(Store(home / "store"), reference, HERE).digest
        == kitchen.image(platform=HERE).digest
    )


ISOLATION = """FROM example/base:1
RUN mkdir /seen && cat /proc/self/uid_map > /seen/uids && ls /dev > /seen/dev && \\
    ls /dev/shm > /seen/shm && \\
    ls -l /proc/self/ns > /seen/namespaces && \\
    if echo text > /dev/kmsg; then exit 1; fi && \\
    if echo text > /dev/kvm; then exit 1; fi; \\
    (echo core > /proc/sys/kernel/core_pattern) 2> /seen/core || true
"""


def test_run_is_isolated_from_this_machine(kitchen: Kitchen) -> None:
    mark = Path("/dev/shm") / f"dolmen-test-{os.getpid()}"
    mark.touch()
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    try:
        kitchen.build(kitchen.package(ISOLATION), HERE)
    finally:
        mark.unlink()
    tree = kitchen.tree(platform=HERE).items()
    seen = {name: text[1].decode() for name, text in tree if name.startswith("seen/")}
    first, _, _ = seen["seen/uids"].splitlines()[0].split()
    assert first == "0"
    outside = Path("/proc/self/uid_map").read_text()
    assert seen["seen/uids"] != outside
    assert all(int(line.split()[1]) for line in seen["seen/uids"].splitlines())
    devices = set(seen["seen/dev"].split())
    assert {"null", "zero", "urandom", "shm", "pts"} <= devices
    links = {"fd", "stdin", "stdout", "stderr", "ptmx"}
    assert devices - links <= {"null", "zero", "full", "random", "urandom", "tty", "shm", "pts"}
    assert seen["seen/shm"] == ""
    for kind in ("ipc", "user", "pid", "mnt"):
        assert f"{kind} -> {kind}:[" in seen["seen/namespaces"]
        assert Path(f"/proc/self/ns/{kind}").readlink().name not in seen["seen/namespaces"]
    assert Path("/proc/sys/kernel/core_pattern").read_text() == pattern
