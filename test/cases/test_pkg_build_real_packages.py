"""A user builds the included packages, with compilers from Debian's archive."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import host_platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store
from support.dockerfiles import Kitchen
from support.from_debian import skip_without_an_archive

if TYPE_CHECKING:
    from support.cli import Dolmen

HERE = host_platform()
REPOSITORY = Path(__file__).parent.parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed"),
    pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not installed"),
    pytest.mark.skipif(HERE.architecture != "amd64", reason="its cross compilers are for amd64"),
]
# e_machine in the header of an ELF file.
MACHINES = {"amd64": 62, "arm64": 183, "riscv64": 243}
IN_GO = """
ARG TOOLCHAIN
FROM --platform=$BUILDPLATFORM ${TOOLCHAIN} AS build
ARG TARGETARCH
COPY main.go /src/
WORKDIR /src
RUN --mount=type=cache,target=/cache GO111MODULE=off GOARCH=$TARGETARCH go build -o /out/app main.go
FROM scratch
COPY --from=build /out/app /app
ENTRYPOINT ["/app"]
"""
IN_C = """
ARG TOOLCHAIN
FROM --platform=$BUILDPLATFORM ${TOOLCHAIN} AS build
ARG TARGETARCH
COPY main.c /src/
RUN target-cc -static -O2 -s -o /app /src/main.c
FROM scratch
COPY --from=build /app /app
"""
ON_BASE = """
ARG BASE
FROM ${BASE}
RUN mkdir -p /etc/on-base && echo "$(sed --version | head -n 1)" > /etc/on-base/sed
"""
ON_TOP = """
ARG MIDDLE
FROM ${MIDDLE}
RUN <<EOF
wc -l < /etc/on-base/sed > /etc/lines
ls -A /var/cache > /etc/cached
EOF
CMD ["/bin/cat", "/etc/lines"]
"""


def write(directory: Path, build_yml: str, files: dict[str, str]) -> None:
    directory.mkdir(parents=True)
    (directory / "build.yml").write_text(f"image: {directory.name}\norg: example\n{build_yml}")
    for name, text in files.items():
        (directory / name).write_text(text)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a repository with our toolchains and base, and packages that begin with them."""
    work = tmp_path / "work"
    for name in ("toolchain-go", "toolchain-c", "base"):
        shutil.copytree(REPOSITORY / "pkg" / name, work / name)
    program = 'package main\n\nfunc main() { println("hello from go") }\n'
    write(
        work / "in-go",
        "buildArgs: ['TOOLCHAIN=@lkt:pkg:../toolchain-go']\n",
        {"Dockerfile": IN_GO, "main.go": program},
    )
    program = '#include <stdio.h>\nint main(void) { puts("hello from c"); return 0; }\n'
    write(
        work / "in-c",
        "arches: [amd64, arm64]\nbuildArgs: ['TOOLCHAIN=@lkt:pkg:../toolchain-c']\n",
        {"Dockerfile": IN_C, "main.c": program},
    )
    here = f"arches: [{HERE.architecture}]\n"
    write(work / "middle", f"{here}buildArgs: ['BASE=@lkt:pkg:../base']\n", {"Dockerfile": ON_BASE})
    write(work / "top", f"{here}buildArgs: ['MIDDLE=@lkt:pkg:../middle']\n", {"Dockerfile": ON_TOP})
    git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q", "."], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=work, check=True)
    return work


def test_programs_for_several_architectures(dolmen: Dolmen, work: Path, tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    # No registry answers there, and Debian's archive is needed.
    registry = ("--org", "localhost:1/example")
    command = ("pkg", "build", *registry, "--cache", kitchen.store.root)
    asked = ("in-go", "in-c", "top")
    done = dolmen.run(*command, *(work / name for name in asked))
    skip_without_an_archive(done)
    assert done.returncode == 0, done.stderr
    in_go, in_c, top = done.stdout.split()
    made = {n for e in Store(kitchen.store.root).names().entries for n in e.names}
    # Compilers run on this machine, and are made for no other.
    assert {n.rpartition("-")[2] for n in made if "toolchain" in n and n[-1] == "4"} == {"amd64"}
    for name, said in ((in_go, b"hello from go\n"), (in_c, b"hello from c\n")):
        index = kitchen.store.read(
            kitchen.store.names().named(str(Reference.parse(name)))[0].descriptor
        )
        for architecture in ("amd64", "arm64", "riscv64"):
            if architecture.encode() not in index:
                assert (name, architecture) == (in_c, "riscv64")
                continue
            platform = HERE.parse(architecture)
            member, content = kitchen.tree(name, platform)["app"]
            assert int.from_bytes(content[18:20], "little") == MACHINES[architecture]
            assert member.mode & 0o111
        program = tmp_path / "program"
        program.write_bytes(kitchen.tree(name, HERE)["app"][1])
        program.chmod(0o755)
        ran = subprocess.run([program], capture_output=True, check=True)
        assert ran.stdout + ran.stderr == said
    # One package on another on a third.
    tree = kitchen.tree(top, HERE)
    assert tree["etc/on-base/sed"][1].startswith(b"sed (GNU sed)")
    assert tree["etc/lines"][1] == b"1\n"
    layers = [kitchen.image(n, HERE).manifest.layers for n in (shown(dolmen, work / "middle"), top)]
    assert layers[1][: len(layers[0])] == layers[0]
    # The same bytes later, in another checkout, with another umask and nothing in any cache.
    digests = [kitchen.image(name, HERE).digest for name in (in_go, top)]
    shutil.rmtree(kitchen.store.root / "buildah")
    other = tmp_path / "elsewhere" / "work"
    other.parent.mkdir()
    before = os.umask(0o077)
    try:
        subprocess.run(["git", "clone", "-q", work, other], check=True)
        options = ("--force", "--platforms", str(HERE))
        again = dolmen.run(*command, *options, other / "in-go", other / "top")
    finally:
        os.umask(before)
    assert again.returncode == 0, again.stderr
    assert again.stdout.split() == [in_go, top]
    assert [kitchen.image(name, HERE).digest for name in (in_go, top)] == digests


def shown(dolmen: Dolmen, package: Path) -> str:
    """Return what a package is called."""
    return dolmen.run("pkg", "show-tag", "--org", "localhost:1/example", package).stdout.strip()
