"""Reading build.yml: every key is in the model, and every mistake has a place."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from assembler.config.package_model import BuildFile, DockerImages, ExtraSource, RecipeFile
from assembler.errors import DolmenError
from assembler.packages.jobs import image_labels
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming, derive_name

DIGEST = "sha256:" + "0123456789abcdef" * 4


def read(directory: Path, text: str) -> BuildFile:
    (directory / "build.yml").write_text(text)
    return read_package(directory).build


def test_missing_keys_have_defaults(tmp_path: Path) -> None:
    build = read(tmp_path, "image: tool\n")
    assert (build.org, build.tag, build.dockerfile) == ("linuxkit", "{{.Hash}}", "Dockerfile")
    assert build.arches == ("amd64", "arm64", "riscv64")
    assert build.gitrepo == "https://github.com/linuxkit/linuxkit"
    assert (build.network, build.disable_cache, build.config, build.debs) == (
        *(False, False),
        *(None, None),
    )
    assert read(tmp_path, "image: tool\norg: ''\ntag: ''\narches: []\n") == build


def test_every_key_is_read(tmp_path: Path) -> None:
    build = read(
        tmp_path,
        f"""
image: tool
org: reg.example.com:5000/a/b
tag: v1-{{{{.Hash}}}}
dockerfile: other
arches: [arm64]
extra-sources: [../shared:/src/./shared, ../a:b]
gitrepo: https://git.example.com/x
network: true
disable-cache: true
buildArgs: [A=1, B=, 'C=@lkt:pkg:../c', 'D%=@dolmen:pkgs:../d*']
config:
  binds: [/a:/b]
  runtime: {{mkdir: [/x]}}
depends:
  docker-images: {{target-dir: images, list: ['alpine@{DIGEST}']}}
debs:
  suite: trixie
  packages: [busybox-static]
  links: {{/usr/bin/sh: busybox}}
  files:
    - {{path: /etc/x, contents: y, mode: "0600", uid: 5}}
    - {{path: /srv, directory: true}}
""",
    )
    assert build.extra_sources == (
        ExtraSource(Path("../shared"), PurePosixPath("src/shared")),
        ExtraSource(Path("../a"), PurePosixPath("b")),
    )
    assert build.build_args == ("A=1", "B=", "C=@lkt:pkg:../c", "D%=@dolmen:pkgs:../d*")
    assert build.docker_images == DockerImages(
        target_dir=PurePosixPath("images"), images=(f"alpine@{DIGEST}",)
    )
    assert build.config is not None
    assert build.config.binds == ("/a:/b",)
    assert build.label == {"binds": ["/a:/b"], "runtime": {"mkdir": ["/x"]}}
    assert build.debs is not None
    assert build.debs.links == {"usr/bin/sh": "busybox"}
    assert build.debs.files == (
        RecipeFile("etc/x", contents="y", mode=0o600, uid=5),
        RecipeFile("srv", directory=True),
    )
    assert (build.arches, build.network, build.disable_cache) == (("arm64",), True, True)


@pytest.mark.parametrize(
    ("build_yml", "code", "place", "words"),
    [
        ("image: tool\ntag: '{{define}}'\n", "DM0704", ":2:6:", "'define' is not supported"),
        ("image: tool\ntag: 'v1-{{.Hash'\n", "DM0704", ":2:6:", "unclosed action"),
        ("image: tool\nextra-sources: ['../no:/x']\n", "DM0702", ":2:17:", "does not exist"),
        ("image: tool\nextra-sources: ['..:../x']\n", "DM0702", ":2:17:", "leaves the build"),
        ("image: tool\nbuildArgs: [x]\n", "DM0711", ":2:13:", "KEY=VALUE"),
        ("image: tool\nbuildArgs: ['A=@lkt:pkgs:*']\n", "DM0711", ":2:13:", "does not fit"),
        (
            "image: tool\ndepends:\n  docker-images: {target: x, list: [alpine]}\n",
            "DM0703",
            ":3:37:",
            "lacks a digest",
        ),
        (
            "image: tool\ndepends:\n  docker-images: {target: ../x, from-file: y}\n",
            "DM0703",
            ":3:27:",
            "not a relative path inside",
        ),
        ("image: tool\nimages: x\n", "DM01", ":2:1:", "images"),
        (
            "image: tool\ndebs: {suite: x, packages: [y], links: {a: b}}\n",
            "DM0720",
            ":2:",
            "absolute path",
        ),
        (
            "image: tool\ndebs:\n  suite: x\n  packages: [y]\n  files: [{path: /x}]\n",
            "DM0720",
            ":5:11:",
            "has none",
        ),
        (
            "image: tool\ndebs:\n  suite: x\n  packages: [y]\n  users: [web:x]\n",
            "DM0720",
            ":5:11:",
            "invalid user",
        ),
        (
            "image: t\ndebs: {suite: x, packages: [y], files: [{path: /x, source: ../a}]}\n",
            "DM0720",
            ":2:60:",
            "not inside the package",
        ),
    ],
)
def test_mistakes_have_a_place(
    tmp_path: Path, build_yml: str, code: str, place: str, words: str
) -> None:
    (tmp_path / "build.yml").write_text(build_yml)
    with pytest.raises(DolmenError) as caught:
        derive_name(read_package(tmp_path), Naming())
    message = str(caught.value)
    assert code in message
    assert f"build.yml{place}" in message
    assert words in message


def test_keys_that_linuxkit_refuses_have_a_label_of_their_own(tmp_path: Path) -> None:
    read(
        tmp_path, "image: tool\nconfig: {seccomp: default, net: host, expose: [80], apparmor: p}\n"
    )
    assert image_labels(read_package(tmp_path)) == {
        "org.mobyproject.config": '{"net": "host"}',
        "org.dolmen.config": '{"apparmor": "p", "expose": [80], "seccomp": "default"}',
    }
    read(tmp_path, "image: tool\nconfig: {net: host}\n")
    assert image_labels(read_package(tmp_path)) == {"org.mobyproject.config": '{"net": "host"}'}


def test_a_label_names_no_profile(tmp_path: Path) -> None:
    with pytest.raises(DolmenError) as caught:
        read(tmp_path, "image: tool\nconfig: {seccomp: web.json}\n")
    (diagnostic,) = caught.value.diagnostics
    assert str(diagnostic.place) == f"{tmp_path}/build.yml:2:19"
    assert str(diagnostic.code) == "DM0132"
