"""Packages are named by git's hash of their sources, in every state that a work tree can have."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.codes import packages as codes
from assembler.errors import PackageError
from assembler.packages.directory_tree import hash_directory
from assembler.packages.git import WorkTree
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming, PackageName, derive_name, is_lasting

if TYPE_CHECKING:
    from pathlib import Path

TIMES = (1_500_000_000, 1_600_000_000)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the configuration of this machine away."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *words: str, time: int = TIMES[0]) -> str:
    date = {"GIT_AUTHOR_DATE": f"{time} +0000", "GIT_COMMITTER_DATE": f"{time} +0000"}
    done = subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@x", *words],
        cwd=folder,
        env=os.environ | date,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Give a package in the folder `pkg/tool` of a repository with one commit."""
    folder = tmp_path / "work/pkg/tool"
    folder.mkdir(parents=True)
    (folder / "build.yml").write_text("image: tool\norg: example\n")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / ".gitignore").write_text("*.log\n")
    (tmp_path / "work/shared").mkdir()
    (tmp_path / "work/shared/x").write_text("x")
    git(tmp_path / "work", "init", "-q", ".")
    git(tmp_path / "work", "add", ".")
    git(tmp_path / "work", "commit", "-q", "-m", "one")
    return folder


def name_of(package: Path, **naming: object) -> PackageName:
    return derive_name(read_package(package), Naming(**naming))  # type: ignore[arg-type]


def tree(package: Path, path: str, commit: str = "HEAD") -> str:
    return git(package, "rev-parse", f"{commit}:{path}")


def test_a_committed_package_is_named_by_its_tree(package: Path) -> None:
    name = name_of(package)
    assert str(name) == f"example/tool:{tree(package, 'pkg/tool')}"
    assert (name.dirty, is_lasting(name), name.warnings) == (False, True, ())
    assert name.canonical == f"docker.io/{name}"
    # What git ignores is no change.
    (package / "x.log").write_text("noise")
    # Nor is a change elsewhere in the repository.
    (package.parent / "other").write_text("y")
    assert name_of(package) == name


def test_other_options_of_names(package: Path) -> None:
    digest = tree(package, "pkg/tool")
    assert str(name_of(package, org="reg.example.com/o", tag="v-{{.Hash}}")) == (
        f"reg.example.com/o/tool:v-{digest}"
    )
    assert name_of(package, org="localhost:5000").canonical.startswith("localhost:5000/tool:")
    assert name_of(package, org="a/b").canonical.startswith("a/b/tool:")
    assert str(name_of(package, hash="h")) == "example/tool:h"
    assert str(name_of(package, tag="")) == "example/tool:latest"
    development = derive_name(read_package(package), Naming().for_development("me"))
    assert (str(development), is_lasting(development)) == ("me/tool:dev", False)
    kept = Naming(org="o", hash="h").for_development("me")
    assert (kept.org, kept.hash) == ("o", "h")
    assert name_of(package, hash_path=package.parent).hash == tree(package, "pkg")
    assert name_of(package, hash_path=package.parents[1]).hash == git(
        package, "rev-parse", "HEAD^{tree}"
    )


def content(*texts: str) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:7]


def test_changes_mark_the_name_as_dirty(package: Path) -> None:
    clean = name_of(package)
    (package / "new").write_text("new")
    dirty = name_of(package)
    ignored, build, recipe = "*.log\n", "image: tool\norg: example\n", "FROM scratch\n"
    # All tracked files, then all others, each by name.
    expected = content(ignored, recipe, build, "new")
    assert str(dirty) == f"{clean}-dirty-{expected}"
    assert dirty.dirty
    assert name_of(package, commit=git(package, "rev-parse", "HEAD")) == clean
    with pytest.raises(PackageError) as caught:
        dirty.as_release("v1")
    assert caught.value.diagnostics[0].code is codes.DIRTY_RELEASE
    assert str(clean.as_release("v1")) == "example/tool:v1"
    with pytest.raises(PackageError, match="no registry accepts it"):
        clean.as_release("not a tag")
    (package / "new").unlink()
    assert name_of(package) == clean
    assert str(name_of(package, force_dirty=True)) == (
        f"{clean}-dirty-{content(ignored, recipe, build)}"
    )
    # A file that was deleted has no content.
    (package / "Dockerfile").unlink()
    assert name_of(package).tag.endswith(f"-dirty-{content(ignored, build)}")


def test_links_pipes_and_missing_files_have_no_content(package: Path) -> None:
    (package / "link").symlink_to("Dockerfile")
    (package / "gone").symlink_to("nowhere")
    git(package, "add", ".")
    git(package, "commit", "-q", "-m", "two")
    before = WorkTree(package, "pkg/tool").content_hash()
    (package / "link").unlink()
    os.mkfifo(package / "link")
    assert WorkTree(package, "pkg/tool").content_hash() == before


def test_the_names_of_earlier_commits(package: Path) -> None:
    first = name_of(package)
    (package / "Dockerfile").write_text("FROM other\n")
    git(package, "add", ".")
    git(package, "commit", "-q", "-m", "two", time=TIMES[1])
    (package.parents[1] / "elsewhere").write_text("e")
    git(package, "add", str(package.parents[1]))
    git(package, "commit", "-q", "-m", "three", time=TIMES[1] + 5)
    assert name_of(package).hash == tree(package, "pkg/tool")
    assert name_of(package, commit="HEAD~2") == first
    found = WorkTree.find(package)
    assert found is not None
    assert found.prefix == "pkg/tool"
    assert found.revision("HEAD~1") == git(package, "rev-parse", "HEAD~1")
    assert [found.committed_at(c) for c in ("HEAD", "HEAD~1", "HEAD~2")] == [
        TIMES[1] + 5,
        TIMES[1],
        TIMES[0],
    ]
    # The last change of the package, not of the repository.
    assert found.changed_at("HEAD") == TIMES[1]
    for call in (found.revision, found.tree_hash, found.committed_at):
        with pytest.raises(PackageError, match="commit 'none' not found") as caught:
            call("none")
        assert caught.value.diagnostics[0].code is codes.BAD_COMMIT


def test_a_repository_named_by_the_environment_is_not_used(
    package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As inside a hook of git."""
    expected = name_of(package)
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert name_of(package) == expected


def test_a_package_without_a_commit_or_a_repository(package: Path, tmp_path: Path) -> None:
    fresh = package.parent / "fresh"
    fresh.mkdir()
    (fresh / "build.yml").write_text("image: fresh\n")
    with pytest.raises(PackageError) as caught:
        name_of(fresh)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == f"the package {fresh} is not committed"
    assert diagnostic.hints == (f"git add {fresh}; git commit",)
    with pytest.raises(PackageError, match="is not committed at HEAD~0"):
        name_of(fresh, commit="HEAD~0")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "build.yml").write_text("image: bare\n")
    assert WorkTree.find(bare) is None
    name = name_of(bare)
    assert (str(name), is_lasting(name)) == (f"linuxkit/bare:{hash_directory(bare)}", True)
    assert str(name_of(bare, hash="")) == "linuxkit/bare:latest"
    # A folder of git itself is no work tree.
    assert WorkTree.find(package.parents[1] / ".git") is None
    with pytest.raises(PackageError, match="is not a parent directory of"):
        name_of(package, hash_path=fresh)


def test_a_package_without_a_commit_has_the_name_that_a_commit_gives_it(tmp_path: Path) -> None:
    work = tmp_path / "bare"
    package, source = work / "tool", work / "shared"
    package.mkdir(parents=True)
    source.mkdir()
    (package / "build.yml").write_text("image: tool\nextra-sources: ['../shared:/s']\n")
    (source / "x").write_text("x")
    outside = name_of(package)
    assert not outside.dirty
    of_parent = name_of(package, hash_path=work).hash
    (source / "x").write_text("y")
    changed = name_of(package)
    assert changed != outside
    assert name_of(package, force_dirty=True).tag == f"{changed.tag}-dirty-{changed.tag[:7]}"
    (source / "x").write_text("x")
    git(work, "init", "-q", ".")
    assert name_of(package) == outside
    with pytest.raises(PackageError, match="commit 'v1' not found"):
        name_of(package, commit="v1")
    assert name_of(package, hash="h").tag == "h"
    git(work, "add", ".")
    assert name_of(package) == outside
    git(work, "commit", "-q", "-m", "one")
    assert name_of(package) == outside
    assert name_of(package, hash_path=work).hash == of_parent
    # The files of a source that does not exist cannot be read, with or without a commit.
    (package / "build.yml").write_text("image: tool\nextra-sources: ['../none:/s']\n")
    for _ in range(2):
        with pytest.raises(PackageError, match=r"extra source \.\./none does not exist"):
            name_of(package)
        shutil.rmtree(work / ".git", ignore_errors=True)


def test_an_untracked_repository_counts_as_untracked_files(package: Path) -> None:
    clean = name_of(package)
    nested = package / "nested"
    nested.mkdir()
    git(nested, "init", "-q", ".")
    (nested / "b").write_text("one")
    (nested / "a").write_text("two")
    ignored, build, recipe = "*.log\n", "image: tool\norg: example\n", "FROM scratch\n"
    expected = f"{clean}-dirty-{content(ignored, recipe, build, 'two', 'one')}"
    assert str(name_of(package)) == expected
    git(nested, "add", ".")
    git(nested, "commit", "-q", "-m", "one")
    assert str(name_of(package)) == expected
    (nested / "a").write_text("three")
    assert str(name_of(package)) not in (str(clean), expected)


def test_a_submodule_counts_with_its_commit_and_its_changes(package: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "-q", ".")
    (tmp_path / "other/x").write_text("x")
    git(tmp_path / "other", "add", ".")
    git(tmp_path / "other", "commit", "-q", "-m", "one")
    submodule = package / "sub"
    options = ("-c", "protocol.file.allow=always")
    git(package, *options, "submodule", "add", "-q", str(tmp_path / "other"), "sub")
    git(package, "commit", "-q", "-m", "two")
    clean = name_of(package)
    assert (clean.hash, clean.dirty) == (tree(package, "pkg/tool"), False)
    names = {str(clean)}
    for step in ("one", "two"):
        (submodule / "x").write_text(step)
        names.add(str(name_of(package)))
    git(submodule, "commit", "-q", "-a", "-m", "changed")
    moved = name_of(package)
    assert moved.dirty
    names.add(str(moved))
    assert len(names) == 4
    # A submodule that was not fetched, and one without a commit, have no content.
    shutil.rmtree(submodule)
    submodule.mkdir()
    assert name_of(package, force_dirty=True).dirty
    git(submodule, "init", "-q", ".")
    assert name_of(package, force_dirty=True).dirty


def test_extra_sources_are_part_of_the_hash(package: Path, tmp_path: Path) -> None:
    file = package / "build.yml"
    file.write_text("image: tool\nextra-sources: ['../../shared:/s']\n")
    git(package, "add", ".")
    git(package, "commit", "-q", "-m", "two")
    text = tree(package, "pkg/tool") + tree(package, "shared")
    assert name_of(package).hash == hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    (tmp_path / "out").mkdir()
    (package.parent / "empty").mkdir()
    for source, words in (
        ("../../none", "does not exist"),
        ("../../shared/x", "is not a directory"),
        ("../../../out", "is not in a git repository"),
        ("../empty", "is not committed"),
    ):
        file.write_text(f"image: tool\nextra-sources: ['{source}:/s']\n")
        with pytest.raises(PackageError) as caught:
            name_of(package)
        (diagnostic,) = caught.value.diagnostics
        assert diagnostic.code is codes.BAD_SOURCE
        assert diagnostic.message == f"the extra source {source} {words}"
        assert str(diagnostic.place).endswith("build.yml:2:17")


@pytest.mark.parametrize(
    ("text", "code", "hints"),
    [
        ("image: tool\ntag: 'a b'\n", codes.BAD_TAG, ()),
        (
            "image: tool\ntag: 'x-{{.Bash}} y'\n",
            codes.BAD_TAG,
            ("unknown field .Bash; the only field is {{.Hash}}",),
        ),
        ("image: Tool\n", codes.BAD_NAME, ()),
    ],
)
def test_a_name_that_no_image_can_have_is_a_warning(
    tmp_path: Path, text: str, code: object, hints: tuple[str, ...]
) -> None:
    (tmp_path / "build.yml").write_text(text)
    (warning,) = name_of(tmp_path).warnings
    assert (warning.code, str(warning.severity), warning.hints) == (code, "warning", hints)
    assert str(warning.place).startswith(f"{tmp_path}/build.yml:")


def test_a_broken_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "build.yml").write_text("image: tool\ntag: '{{.Hash'\n")
    with pytest.raises(PackageError, match="invalid tag template") as caught:
        name_of(tmp_path)
    assert caught.value.diagnostics[0].code is codes.BAD_TAG_TEMPLATE
    with pytest.raises(PackageError) as caught:
        name_of(tmp_path, tag="{{")
    assert caught.value.diagnostics[0].place is None
