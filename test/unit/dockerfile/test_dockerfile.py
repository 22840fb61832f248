"""Dockerfiles in process: what instructions mean, and what is refused."""

from __future__ import annotations

import contextlib
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.diagnostics import SourceText
from assembler.dockerfile.dockerignore import compile_patterns
from assembler.dockerfile.stages import DockerfileArguments, plan_dockerfile
from assembler.dockerfile.syntax import parse_dockerfile
from assembler.dockerfile.words import WordError, expand
from assembler.errors import DolmenError, PackageError
from assembler.oci.platform import Platform, host_platform
from support.dockerfiles import Kitchen

if TYPE_CHECKING:
    from pathlib import Path

ARM64 = Platform("linux", "arm64")


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def test_an_image_of_a_directory(kitchen: Kitchen) -> None:
    dockerfile = "FROM scratch\nCOPY etc /etc/\nCOPY run.sh x /bin/\nWORKDIR /srv/www\n"
    files = {"etc/motd": b"hi", "etc/link": "motd", "run.sh": b"#!", "x": b"x"}
    package = kitchen.package(dockerfile, files)
    (package / "run.sh").chmod(0o700)
    kitchen.build(package)
    tree = kitchen.tree()
    assert set(tree) == {
        *("etc", "etc/motd", "etc/link", "bin", "bin/run.sh", "bin/x", "srv", "srv/www")
    }
    assert tree["etc/motd"][1] == b"hi"
    assert tree["etc/link"][0].linkname == "motd"
    assert (tree["bin/run.sh"][0].mode, tree["bin/x"][0].mode) == (0o755, 0o644)
    assert tree["bin/x"][0].mtime == 0


def test_what_instructions_say_of_the_config(kitchen: Kitchen) -> None:
    dockerfile = """
FROM scratch
ARG VERSION=1
ENV A="x y" B=v$VERSION
ENV LEGACY some value
LABEL one=1 "two words"="a b"
EXPOSE 80 53/udp 8000-8001
VOLUME ["/data"]
USER me:us
WORKDIR /a
WORKDIR b
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/app", "-x"]
CMD run it
"""
    kitchen.build(kitchen.package(dockerfile))
    config = kitchen.config()["config"]
    assert config["Env"][1:] == ["A=x y", "B=v1", "LEGACY=some value"]
    assert config["Labels"] == {"one": "1", "two words": "a b"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp", "8000/tcp", "8001/tcp"}
    assert config["Volumes"] == {"/data": {}}
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == (
        *("me:us", "/a/b"),
        "SIGINT",
    )
    assert (config["Entrypoint"], config["Cmd"]) == (
        ["/bin/app", "-x"],
        ["/bin/sh", "-c", "run it"],
    )


def test_stages_and_what_they_take_from_one_another(kitchen: Kitchen) -> None:
    dockerfile = """
FROM scratch AS base
COPY passwd /etc/passwd
COPY a /usr/lib/a
FROM base AS unneeded
RUN false
FROM base AS other
COPY --chown=me:7 a /own
COPY --chmod=0600 a /mode/
ENV FROM_OTHER=1
FROM other
COPY --from=base /usr /new/usr
COPY --from=2 /own /own2
"""
    files = {"passwd": b"me:x:5:6::/:\n", "a": b"a"}
    kitchen.build(kitchen.package(dockerfile, files))
    tree = kitchen.tree()
    assert tree["new/usr/lib/a"][1] == b"a"
    assert (tree["own"][0].uid, tree["own"][0].gid) == (5, 7)
    assert (tree["own2"][0].uid, tree["own2"][0].gid) == (5, 7)
    assert tree["mode/a"][0].mode == 0o600
    assert "FROM_OTHER=1" in kitchen.config()["config"]["Env"]


def test_a_base_of_the_store_is_followed_by_its_links(kitchen: Kitchen) -> None:
    files = {"root/usr/bin/tool": b"t", "root/bin": "usr/bin", "root/usr/share/x": b"x"}
    base = kitchen.package(
        'FROM scratch\nCOPY root /\nENV A=1\nCMD ["x"]\n', files, "image: base\norg: example\n", "b"
    )
    kitchen.build(base, hash="1")
    top = kitchen.package(
        "ARG OF=1\nFROM example/base:${OF} \nENV B=$A-2\nCOPY new /bin/\n"
        'ENTRYPOINT ["y"]\nCOPY --from=example/base:1 /bin/tool /usr/share\n',
        {"new": b"new"},
    )
    kitchen.build(top)
    tree = kitchen.tree()
    assert "bin/new" not in tree
    assert tree["usr/bin/new"][1] == b"new"
    config = kitchen.config()
    assert config["config"]["Env"][1:] == ["A=1", "B=1-2"]
    # Another program is not given the words meant for the one of the base.
    assert config["config"]["Entrypoint"] == ["y"]
    assert "Cmd" not in config["config"]
    image, below = kitchen.image(), kitchen.image("example/base:1")
    assert image.manifest.layers[:1] == below.manifest.layers
    assert image.manifest.annotations["org.opencontainers.image.base.digest"] == below.digest
    assert below.digest in image.manifest.annotations["dolmen.inputs"]


def test_every_platform_has_its_own_arguments(kitchen: Kitchen) -> None:
    dockerfile = "FROM scratch\nARG TARGETARCH\nARG MINE=0\nCOPY $TARGETARCH/x /x-$MINE\n"
    package = kitchen.package(dockerfile, {"amd64/x": b"amd", "arm64/x": b"arm"})
    kitchen.build(package, Platform(), ARM64, arguments=("MINE=1",))
    assert kitchen.tree()["x-1"][1] == b"amd"
    assert kitchen.tree(platform=ARM64)["x-1"][1] == b"arm"
    assert kitchen.config(platform=ARM64)["architecture"] == "arm64"


def test_an_archive_is_unpacked_by_add_and_not_by_copy(kitchen: Kitchen) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        info = tarfile.TarInfo("inside/file")
        info.size, info.uid, info.mode = 3, 42, 0o640
        tar.addfile(info, io.BytesIO(b"abc"))
    package = kitchen.package(
        "FROM scratch\nADD a.tar.xz /add\nCOPY a.tar.xz /copy/\n", {"a.tar.xz": packed.getvalue()}
    )
    kitchen.build(package)
    tree = kitchen.tree()
    found, content = tree["add/inside/file"]
    assert (content, found.uid, found.mode) == (b"abc", 42, 0o640)
    assert tree["copy/a.tar.xz"][1] == packed.getvalue()


def test_hard_links_stay_among_what_is_copied(kitchen: Kitchen) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("d/one")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("d/two")
        link.type, link.linkname = tarfile.LNKTYPE, "d/one"
        tar.addfile(link)
    dockerfile = (
        "FROM scratch AS a\nADD a.tar /\nFROM scratch\nCOPY --from=a /d /e\n"
        "COPY --from=a /d/two /only\n"
    )
    kitchen.build(kitchen.package(dockerfile, {"a.tar": packed.getvalue()}))
    tree = kitchen.tree()
    assert (tree["e/two"][0].islnk(), tree["e/two"][0].linkname) == (True, "e/one")
    assert tree["only"][1] == b"abc"


def test_what_dockerignore_leaves_out(kitchen: Kitchen) -> None:
    files = {
        ".dockerignore": b"# no logs\n**/*.log\nsecret\n!secret/but-this\n",
        "a/b.log": b"",
        "a/c": b"",
        "secret/key": b"",
        "secret/but-this": b"",
    }
    kitchen.build(kitchen.package("FROM scratch\nCOPY . /\n", files))
    names = set(kitchen.tree())
    assert {"a/c", "secret/but-this", "Dockerfile"} <= names
    assert not {"a/b.log", "secret/key"} & names


def test_extra_sources_are_part_of_the_context(kitchen: Kitchen) -> None:
    shared = kitchen.root / "shared"
    shared.mkdir()
    (shared / "lib").write_bytes(b"lib")
    package = kitchen.package("FROM scratch\nCOPY src /\n")
    (package / "build.yml").write_text("image: app\norg: example\nextra-sources: ['../x:src']\n")
    (kitchen.root / "x").symlink_to("shared")
    kitchen.build(package)
    assert kitchen.tree()["lib"][1] == b"lib"


def test_images_as_files_of_the_context(kitchen: Kitchen) -> None:
    base = kitchen.package(
        "FROM scratch\nCOPY Dockerfile /\n", None, "image: base\norg: example\n", "base"
    )
    kitchen.build(base, hash="1")
    pinned = f"example/base@{kitchen.image('example/base:1').digest}"
    build_yml = (
        "image: app\norg: example\ndepends:\n  docker-images:\n"
        f"    target-dir: images\n    list: ['{pinned}']\n"
    )
    kitchen.build(kitchen.package("FROM scratch\nCOPY images /\n", None, build_yml))
    with tarfile.open(fileobj=io.BytesIO(kitchen.tree()["base.tar"][1])) as tar:
        assert "manifest.json" in tar.getnames()
    build_yml = build_yml.replace(f"list: ['{pinned}']", "from-file: names")
    package = kitchen.package(
        "FROM scratch\nCOPY images /\n", {"names": b"# mine\nbusybox\n"}, build_yml
    )
    with pytest.raises(PackageError, match="lacks a digest"):
        kitchen.build(package, hash="2")


@pytest.mark.parametrize(
    ("dockerfile", "message", "line"),
    [
        ("FROM scratch\nCOPY <<EOF /a\nEOFF\n", "<<EOF has no end", 2),
        ("FROM scratch\nCOPY <<EOF /a\n${A:?}\nEOF\n", "A is not set", 2),
        ("FROM scratch\nCOPY nothing /\n", "there is no 'nothing' in the build context", 2),
        ("FROM scratch\nCOPY out/x /\n", "leads out of the build context", 2),
        ("FROM scratch\nCOPY abs /\n", "leads out of the build context", 2),
        ("FROM scratch\nCOPY ../app/a /\n", "leads out of the build context", 2),
        ("FROM scratch\nCOPY a a /b\n", "several sources cannot be copied to one file /b", 2),
        ("FROM scratch\nCOPY a /d\nCOPY a /d/e\n", "/d exists and is not", 3),
        ("FROM scratch\n\nCOPPY a /\n", "unknown instruction COPPY", 3),
        ("COPY a /\nFROM scratch\n", "before the first FROM", 1),
        ("FROM scratch\nENV \\\n  A\n", "ENV A has no value", 3),
        ('FROM scratch\nENV A="${B:?is needed}"\n', "B is not set: is needed", 2),
        ("FROM scratch\nCOPY --chmod=u+x a /\n", "invalid mode", 2),
        ("FROM scratch\nCOPY --chown=me a /\n", "no user 'me'", 2),
        ("FROM scratch\nCOPY --frm=x a /\n", "does not support --frm", 2),
        ("FROM scratch\nEXPOSE http\n", "invalid port", 2),
        ("FROM example/missing:1\n", "example/missing:1 is not in the store", 1),
        ("FROM $NOTHING\n", "$NOTHING is empty", 1),
        ("FROM scratch AS a\nFROM scratch AS a\n", "duplicate stage name a", 2),
        ("FROM UPPER/case\n", "must be in lower case", 1),
    ],
)
def test_a_mistake_is_shown_where_it_is(
    kitchen: Kitchen, dockerfile: str, message: str, line: int
) -> None:
    files: dict[str, bytes | str | None] = {"a": b"a", "out": "..", "abs": "/etc/passwd"}
    package = kitchen.package(dockerfile, files)
    with pytest.raises(DolmenError) as caught:
        kitchen.build(package)
    (diagnostic,) = caught.value.diagnostics
    assert message in diagnostic.message
    assert diagnostic.place is not None
    assert (diagnostic.place.source.name, diagnostic.place.line) == (
        str(package / "Dockerfile"),
        line,
    )
    assert f"  {line} | " in str(caught.value)


def test_no_dockerfile(kitchen: Kitchen) -> None:
    package = kitchen.package("")
    (package / "Dockerfile").unlink()
    with pytest.raises(PackageError, match=r"Dockerfile does not exist"):
        kitchen.build(package)


def test_the_umask_and_the_time_have_no_say(kitchen: Kitchen, tmp_path: Path) -> None:
    dockerfile = "FROM scratch\nCOPY . /\nWORKDIR /w\n"
    files = {"d/a": b"a", "b": b"b" * 100_000}
    kitchen.build(kitchen.package(dockerfile, files))
    other = Kitchen(tmp_path / "other")
    package = other.package(dockerfile, files)
    for path in (package, package / "d"):
        path.chmod(0o700)
    (package / "b").chmod(0o600)
    other.build(package)
    assert other.image().digest == kitchen.image().digest


def test_texts_in_the_dockerfile_are_copied(kitchen: Kitchen) -> None:
    dockerfile = """FROM scratch
ARG WHO=me
ENV GREETING="hello"
COPY <<EOF /etc/motd
$GREETING "$WHO" \\$HOME\\n
EOF
COPY --chmod=0755 <<'RUN' <<-"OTHER" a /bin/
#!/bin/sh
echo $WHO
RUN
\t\tindented $WHO
OTHER
ADD <<last /
last
COPY a /
"""
    kitchen.build(kitchen.package(dockerfile, {"a": b"a"}))
    tree = kitchen.tree()
    assert tree["etc/motd"][1] == b'hello "me" $HOME\\n\n'
    assert tree["bin/RUN"][1] == b"#!/bin/sh\necho $WHO\n"
    assert tree["bin/OTHER"][1] == b"indented $WHO\n"
    assert (tree["bin/RUN"][0].mode, tree["etc/motd"][0].mode) == (0o755, 0o644)
    assert (tree["last"][1], tree["bin/a"][1], tree["a"][1]) == (b"", b"a", b"a")


def test_variables_in_words() -> None:
    variables = {"A": "a", "EMPTY": ""}
    for word, result in {
        "$A-${A}": "a-a",
        "${B:-d}${EMPTY:-e}${EMPTY-f}": "de",
        "${A:+x$A}${B:+y}": "xa",
        "'$A'": "$A",
        '"$A b"': "a b",
        r"\$A": "$A",
        "$": "$",
        "${B:-${A}}": "a",
    }.items():
        assert expand(word, variables) == result, word
    with pytest.raises(WordError):
        expand("${A", variables)


def test_patterns_of_dockerignore() -> None:
    test = compile_patterns(["*.o", "!keep.o", "**/deep", "a?c", "[xy]z"])
    ignored = ["x.o", "a/deep", "deep/below", "abc", "xz"]
    kept = ["keep.o", "sub/x.o", "abbc", "zz", "a"]
    assert [p for p in [*ignored, *kept] if test(p)] == ignored


@given(st.text(alphabet="FROM scratch\nCOPYENV=$\\{}\"'<[]-a #:", max_size=80))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_text_is_anything_else_than_understood_or_refused(text: str) -> None:
    with contextlib.suppress(PackageError):
        made = plan_dockerfile(
            parse_dockerfile(SourceText("Dockerfile", text)),
            DockerfileArguments({}, host_platform(), host_platform()),
        )
        made.images()
        made.declared()
