"""Packages are laid over each other as dpkg would do it, and scripts are made up for."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.config.package_model import DebsRecipe, RecipeFile
from assembler.debian.layer import recipe_layer
from assembler.debian.layer_inputs import LayerInputs
from assembler.debian.package_files import read_package_files
from assembler.errors import PackageError
from support.debian import TIME, Content, Deb, File, Link

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def lay(
    tmp_path: Path,
    packages: Sequence[Deb],
    debs: DebsRecipe | None = None,
    architecture: str = "amd64",
) -> tarfile.TarFile:
    """Return the layer of a recipe, the packages given in a wrong order."""
    return tarfile.open(fileobj=io.BytesIO(raw(tmp_path, packages, debs, architecture)))


def raw(
    tmp_path: Path,
    packages: Sequence[Deb],
    debs: DebsRecipe | None = None,
    architecture: str = "amd64",
) -> bytes:
    paths = []
    for number, deb in enumerate(reversed(packages)):
        paths.append(tmp_path / f"{number}.deb")
        paths[-1].write_bytes(deb.build())
    wanted = debs or DebsRecipe("trixie", tuple(d.name for d in packages))
    recipe = LayerInputs(wanted, architecture, read_package_files(paths), tmp_path)
    return b"".join(recipe_layer(recipe))


def content(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(path)
    assert file is not None
    return file.read()


def test_a_package_becomes_a_layer(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "usr/bin/tool": File(b"#!tool", mode=0o2755, uid=0, gid=42),
        "usr/bin/other": Link("tool"),
        "usr/bin/same": Link("usr/bin/tool", hard=True),
        "var/empty": None,
    }
    got = lay(tmp_path, [Deb("tool", files=files)])
    names = got.getnames()
    assert len(names) == len(set(names))
    tool = got.getmember("usr/bin/tool")
    assert (tool.mode, tool.gid, tool.mtime, tool.uname) == (0o2755, 42, TIME, "")
    assert got.getmember("usr/bin/other").linkname == "tool"
    assert got.getmember("usr/bin/same").islnk()
    assert got.getmember("var/empty").isdir()
    assert content(got, "var/lib/dpkg/status.d/tool").startswith(b"Package: tool\nVersion: 1.0\n")
    assert "var/lib/dpkg/status.d/tool.md5sums" in names
    for path in names:
        assert path.rpartition("/")[0] in ("", *names[: names.index(path)])


@pytest.mark.parametrize(
    ("architecture", "links"),
    [("amd64", ["bin", "lib", "lib64", "sbin"]), ("arm64", ["bin", "lib", "sbin"])],
)
def test_the_old_directories_are_links(tmp_path: Path, architecture: str, links: list[str]) -> None:
    packages = [
        Deb("old", files={"bin/sh": b"sh", "lib/systemd/x": b"x", "sbin": None}),
        Deb("new", files={"usr/bin/y": b"y"}),
        Deb("base-files", files={"bin": Link("usr/bin"), "lib": Link("usr/lib")}),
    ]
    got = lay(tmp_path, packages, architecture=architecture)
    assert [m.name for m in got if m.issym()] == links
    assert got.getmember("bin").linkname == "usr/bin"
    assert content(got, "usr/bin/sh") == b"sh"
    assert content(got, "usr/lib/systemd/x") == b"x"


def test_a_file_of_two_packages_belongs_to_the_one_that_replaces(tmp_path: Path) -> None:
    packages = [
        Deb("aaa", files={"usr/share/x": b"of aaa"}),
        Deb("bbb", files={"usr/share/x": b"of bbb"}, fields={"Replaces": "aaa (<< 2)"}),
    ]
    assert content(lay(tmp_path, packages), "usr/share/x") == b"of bbb"
    with pytest.raises(PackageError, match=r"DM0728\]: both \w+ and \w+ have /x"):
        raw(tmp_path, [Deb("aaa", files={"x": b"1"}), Deb("bbb", files={"x": b"2"})])


def test_a_link_to_a_directory_is_followed(tmp_path: Path) -> None:
    packages = [
        Deb("aaa", files={"srv/real/a": b"a", "srv/link": Link("real")}),
        Deb("bbb", files={"srv/link/b": b"b", "srv/link": None}),
    ]
    got = lay(tmp_path, packages)
    assert content(got, "srv/real/b") == b"b"
    assert got.getmember("srv/link").issym()
    with pytest.raises(PackageError, match="form a loop"):
        raw(tmp_path, [Deb("aaa", files={"a": Link("b"), "b": Link("a"), "a/x": b""})])
    with pytest.raises(PackageError, match="DM0728"):
        raw(tmp_path, [Deb("aaa", files={"a": b"file"}), Deb("bbb", files={"a/x": b""})])


def test_what_is_dropped_and_what_is_kept_all_the_same(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "usr/share/doc/tool/copyright": b"free",
        "usr/share/doc/tool/README": b"read",
        "usr/share/doc/other": Link("tool"),
        "usr/share/man/man1/tool.1.gz": b"manual",
        "usr/share/locale/de/x.mo": b"",
        "usr/lib/a/one.a": b"archive",
        "usr/bin/tool": Link("usr/lib/a/one.a", hard=True),
    }
    drop = ("/usr/share/doc/**", "/usr/share/man", "/usr/share/*/de/*.mo", "/usr/lib/**/*.a")
    got = lay(tmp_path, [Deb("tool", files=files)], DebsRecipe("trixie", ("tool",), drop=drop))
    here = {m.name for m in got if not m.isdir() and not m.name.startswith("var/")}
    assert here - {"bin", "lib", "lib64", "sbin"} == {
        "usr/share/doc/tool/copyright",
        "usr/share/doc/other",
        "usr/bin/tool",
    }
    # The file that the hard link stood for is not in the image, so the link has its content.
    assert got.getmember("usr/bin/tool").isreg()
    assert content(got, "usr/bin/tool") == b"archive"
    assert "usr/share/man" not in got.getnames()


def test_links_and_files_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "conf" / "run.sh").chmod(0o777)
    (tmp_path / "conf" / "plain").write_bytes(b"plain")
    (tmp_path / "conf" / "plain").chmod(0o600)
    (tmp_path / "conf" / "link").symlink_to("plain")
    debs = DebsRecipe(
        "trixie",
        ("tool",),
        links={"usr/bin/awk": "tool", "usr/bin/tool": "other"},
        files=(
            RecipeFile("etc/text", contents="hello\n", mode=0o640, uid=5, gid=6),
            RecipeFile("srv/conf", source="conf"),
            RecipeFile("usr/bin/one", source="conf/run.sh", mode=0o700),
            RecipeFile("data", directory=True, mode=0o1777),
        ),
    )
    files: dict[str, Content] = {"usr/bin/tool": b"replaced", "etc/text": b"too"}
    got = lay(tmp_path, [Deb("tool", files=files)], debs)
    assert got.getmember("usr/bin/awk").linkname == "tool"
    assert got.getmember("usr/bin/tool").linkname == "other"
    text = got.getmember("etc/text")
    assert (content(got, "etc/text"), text.mode, text.uid, text.gid) == (b"hello\n", 0o640, 5, 6)
    # Of a mode only what git knows counts.
    assert got.getmember("srv/conf/run.sh").mode == 0o755
    assert got.getmember("srv/conf/plain").mode == 0o644
    assert got.getmember("srv/conf/link").linkname == "plain"
    assert got.getmember("usr/bin/one").mode == 0o700
    assert (got.getmember("data").isdir(), got.getmember("data").mode) == (True, 0o1777)


def test_a_source_may_differ_by_architecture(tmp_path: Path) -> None:
    for architecture in ("amd64", "arm64"):
        (tmp_path / architecture).mkdir()
        (tmp_path / architecture / "tool").write_text(f"for {architecture}")
    debs = DebsRecipe("trixie", (), files=(RecipeFile("tool", source="{arch}/tool"),))
    assert content(lay(tmp_path, [], debs), "tool") == b"for amd64"


def test_a_source_outside_of_the_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc")
    for source in ("out/passwd", "nothing"):
        debs = DebsRecipe("trixie", ("tool",), files=(RecipeFile("x", source=source),))
        with pytest.raises(PackageError, match="DM0720"):
            raw(tmp_path, [Deb("tool")], debs)


def test_certificates_become_a_bundle(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "usr/share/ca-certificates/mozilla/b.crt": b"BBB",
        "usr/share/ca-certificates/mozilla/a.crt": b"AAA\n",
        "usr/share/ca-certificates/README": b"no",
    }
    got = lay(tmp_path, [Deb("ca-certificates", files=files)])
    assert content(got, "etc/ssl/certs/ca-certificates.crt") == b"AAA\nBBB\n"


def test_users(tmp_path: Path) -> None:
    got = lay(
        tmp_path, [Deb("tool")], DebsRecipe("trixie", ("tool",), users=("www-data", "web:101:7"))
    )
    passwd = content(got, "etc/passwd").decode().splitlines()
    assert [line.split(":")[0] for line in passwd] == ["root", "nobody", "www-data", "web"]
    assert passwd[2] == "www-data:*:33:33:www-data:/var/www:/usr/sbin/nologin"
    assert passwd[3].startswith("web:*:101:7:")
    assert "web:*:7:" in content(got, "etc/group").decode()
    master: dict[str, Content] = {
        "usr/share/base-passwd/passwd.master": b"root:*:0:0:root:/root:/bin/bash\n",
        "usr/share/base-passwd/group.master": b"root:*:0:\nshadow:*:42:\n",
    }
    base = Deb("base-passwd", files=master)
    got = lay(tmp_path, [base])
    assert content(got, "etc/passwd") == b"root:*:0:0:root:/root:/bin/bash\n"
    got = lay(tmp_path, [base], DebsRecipe("trixie", ("base-passwd",), users=("web:5",)))
    assert content(got, "etc/group").endswith(b"shadow:*:42:\nweb:*:5:\n")
    with pytest.raises(PackageError, match="needs a UID"):
        raw(tmp_path, [Deb("tool")], DebsRecipe("trixie", ("tool",), users=("web",)))


def test_the_bytes_are_always_the_same(tmp_path: Path) -> None:
    packages = [
        Deb("aaa", files={"usr/bin/a": b"a", "etc/x": b"x"}, time=TIME + 5),
        Deb("bbb", files={"usr/bin/b": Link("a")}),
    ]
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    one = raw(first, packages)
    before = os.umask(0o077)
    try:
        other = raw(second, list(reversed(packages)))
    finally:
        os.umask(before)
    assert one == other
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        assert archive.getmember("var/lib/dpkg/status.d/bbb").mtime == TIME + 5
