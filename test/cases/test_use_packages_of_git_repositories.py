"""A user names packages of git repositories with @git:, and gets the same ones in every build."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from support.git_repositories import GitServer, Repository, serve_repositories
from support.registry_server import RegistryServer, registry_server
from support.tracing import network_calls, run_without_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow
_BUILD = ("--arch", "amd64", "--format", "tar", "--no-sbom")


@dataclass
class Project:
    """An image.yml with packages of a repository, and a store."""

    dolmen: Dolmen
    directory: Path
    store: Path

    @property
    def image(self) -> Path:
        return self.directory / "image.yml"

    @property
    def lock(self) -> str:
        return (self.directory / "image.lock").read_text()

    def name(self, *references: str) -> None:
        """Write an image.yml with packages."""
        self.image.write_text("init:\n" + "".join(f'- "@git:{text}"\n' for text in references))

    def words(self, *words: str | Path) -> tuple[str | Path, ...]:
        options = ("--dir", self.directory) if words[0] == "build" else ()
        return ("--cache", self.store, words[0], *options, *words[1:], self.image)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return self.dolmen.run(*self.words(*words))

    def build(self, *words: str | Path) -> str:
        """Build a tar, and return what was printed to standard error."""
        done = self.run("build", *_BUILD, *words)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def fail(self, *words: str | Path) -> str:
        done = self.run("build", *_BUILD, *words)
        assert done.returncode == 1, done.stderr
        return done.stderr

    def content(self, path: str) -> bytes:
        with tarfile.open(self.directory / "image.tar") as tar:
            member = tar.extractfile(path)
            assert member is not None
            return member.read()

    def names(self) -> str:
        return self.dolmen.run("--cache", self.store, "cache", "ls").stdout


@pytest.fixture
def project(dolmen: Dolmen, tmp_path: Path) -> Project:
    (tmp_path / "work").mkdir()
    return Project(dolmen, tmp_path / "work", tmp_path / "store")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "served" / "packages")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with serve_repositories(tmp_path / "served") as server:
        yield server


def test_the_first_build_locks_the_commit_that_later_ones_use(
    project: Project, repository: Repository
) -> None:
    first = repository.git("rev-parse", "HEAD")
    tree = repository.tree("pkg/two")
    project.name(f"{repository.url}#main:pkg/two")
    project.build()
    assert f'["@git:{repository.url}#main"]\ncommit = "{first}"\n' in project.lock
    assert f"example/two:{tree}" in project.names()
    # A package beside it was built for it.
    assert project.content("one") == b"one"
    lock = project.lock
    repository.write("pkg/two/file", "later")
    second = repository.commit()
    project.build("--force")
    assert (project.content("file"), project.lock) == (b"two", lock)
    assert project.run("lock").stdout == f"{repository.url}#main {first}\n"
    moved = project.run("lock", "--update", "packages")
    assert moved.stdout == f"{repository.url}#main {second} (was {first})\n"
    project.build()
    assert project.content("file") == b"later"
    # The tag is the one that a checkout has.
    shown = project.dolmen.run("pkg", "show-tag", repository.path / "pkg" / "two").stdout
    assert shown.strip() in project.names()


def test_tags_branches_and_commits(project: Project, repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "-a", "v1", "-m", "x")
    repository.write("pkg/one/file", "later")
    repository.commit()
    for ref in ("v1", "refs/tags/v1", first):
        project.name(f"{repository.url}#{ref}:pkg/one")
        project.build()
        assert project.content("file") == b"one", ref
    assert first in project.lock  # of the tags
    project.name(f"{repository.url}#HEAD:pkg/one")
    project.build()
    assert project.content("file") == b"later"
    done = project.run("lock")
    assert (done.returncode, "v1" in project.lock) == (0, False)  # unused entries are removed
    repository.git("branch", "v1")
    project.name(f"{repository.url}#v1:pkg/one")
    assert "error[DM0762]" in project.fail()
    assert "has a branch and a tag named 'v1'" in project.fail()


@pytest.mark.usefixtures("repository")
def test_over_http_and_offline_afterwards(
    project: Project, server: GitServer, tmp_path: Path
) -> None:
    references = [f"{server.url}/packages/.git#main:pkg/{name}" for name in ("one", "two")]
    project.name(*references)
    project.build()
    # The refs, then the objects; for both packages together.
    assert server.requests.count("/packages/.git/git-upload-pack") == 2
    requests = list(server.requests)
    trace = tmp_path / "trace"
    words = project.words("build", *_BUILD, "--force", "--offline")
    for offline in (words, tuple(word for word in words if word != "--offline")):
        done = run_without_network(project.dolmen, trace, *offline)
        assert done.returncode == 0, done.stderr
        assert network_calls(trace) == []
    assert server.requests == requests
    # Another store has no files, and --offline says so once.
    project.store = tmp_path / "other"
    shown = project.fail("--offline")
    assert shown.count("error[DM0765]") == 1
    (project.directory / "image.lock").unlink()
    assert "image.lock has no commit for" in project.fail("--offline")


def test_a_redirect_is_followed(
    project: Project, repository: Repository, server: GitServer
) -> None:
    project.name(f"{server.url}/moved/packages/.git#main:pkg/one")
    project.build()
    assert repository.git("rev-parse", "HEAD") in project.lock


def test_an_old_server_gives_a_commit_with_the_history_of_its_branch(
    project: Project, repository: Repository, server: GitServer, tmp_path: Path
) -> None:
    project.name(f"{server.url}/old/packages/.git#main:pkg/one")
    project.build()
    repository.write("pkg/one/file", "later")
    repository.commit()
    project.store = tmp_path / "other"
    project.build("--force")
    assert project.content("file") == b"one"


def test_servers_that_give_nothing(project: Project, server: GitServer, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    project.name(f"{server.url}/private/r#main:a", f"{server.url}/private/r#main:b")
    shown = project.fail()
    assert shown.count("error[DM0761]") == 1
    assert "image.yml:2:9" in shown
    assert "Dolmen never asks for a password" in shown
    project.name(f"{server.url}/none#main:a")
    shown = project.fail()
    assert "error[DM0761]: cannot fetch" in shown
    assert "check the URL" in shown
    project.name("http://127.0.0.1:9/r#main:a", "http://127.0.0.1:9/r#v1:b")
    shown = project.fail()
    assert shown.count("error[DM0761]") == 1
    assert "Failed to connect" in shown or "Couldn't connect" in shown
    assert not (project.directory / "image.lock").exists()


def test_mistakes_have_their_place(project: Project, repository: Repository) -> None:
    project.name(f"{repository.url}#mian:pkg/one", f"{repository.url}#main:pkg/tow")
    shown = project.fail()
    column = len(f'- "@git:{repository.url}#') + 1
    assert f"image.yml:2:{column}: error[DM0762]" in shown
    assert "did you mean main?" in shown
    assert f"image.yml:3:{column + len('main:')}: error[DM0763]" in shown
    assert "did you mean pkg/two?" in shown
    project.name(f"{repository.url}#main:pkg")
    assert "it contains the packages one, two" in project.fail()
    project.name(f"{repository.url}#{'0' * 40}:pkg/one")
    assert "error[DM0762]" in project.fail()
    project.name(f"{repository.url}#main:pkg/one")
    project.build()
    lock = project.directory / "image.lock"
    lock.write_text(lock.read_text().replace('commit = "', 'commit = "xyz'))
    project.name(*(f"{repository.url}#main:pkg/{name}" for name in ("one", "two")))
    shown = project.fail()
    assert shown.count("image.lock:5:10: error[DM0764]") == 1
    other = "1" * 40
    lock.write_text(
        f'version = 1\n["@git:{repository.url}#main"]\ncommit = "{other}"\n'
        'resolved = "2026-01-31T12:00:00Z"\n'
    )
    project.name(f"{repository.url}#main:pkg/one")
    shown = project.fail()
    assert f"has no commit {other}" in shown
    assert "`dolmen lock --update`" in shown


def test_validate_asks_no_repository(project: Project, repository: Repository) -> None:
    project.name(f"{repository.url}#main:pkg/none")
    done = project.run("validate")
    assert (done.returncode, project.store.exists()) == (0, False)
    project.name(f"{repository.url}#main:pkg/one")
    project.build()
    project.name(f"{repository.url}#main:pkg/none")
    done = project.run("validate")
    assert done.returncode == 1
    assert "error[DM0763]" in done.stderr
    done = project.run("validate", "--linuxkit")
    assert "LinuxKit does not know @git:" in done.stderr


def test_yaml_without_a_lock(project: Project, repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    for ref, status in (("main", 1), (commit, 0)):
        text = f'init: ["@git:{repository.url}#{ref}:pkg/one"]\n'
        words = ("--cache", project.store, "build", *_BUILD, "--dir", project.directory, "-")
        done = project.dolmen.run(*words, stdin=text)
        assert done.returncode == status, done.stderr
    assert not (project.directory / "image.lock").exists()


def test_two_builds_at_once_fetch_once(
    project: Project, repository: Repository, server: GitServer
) -> None:
    project.name(f"{server.url}/packages/.git#main:pkg/two")
    command = [sys.executable, "-m", "dolmen"]
    words = [str(w) for w in project.words("build", *_BUILD)]
    running = [
        subprocess.Popen(
            [*command, *words, "--name", f"image{number}"],
            env=project.dolmen.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert server.requests.count("/packages/.git/git-upload-pack") == 2
    assert repository.git("rev-parse", "HEAD") in project.lock


def test_a_build_that_is_killed_while_it_fetches(
    project: Project, repository: Repository, server: GitServer
) -> None:
    project.name(f"{server.url}/stuck/packages/.git#main:pkg/one")
    process = subprocess.Popen(
        [sys.executable, "-m", "dolmen", *map(str, project.words("build", *_BUILD))],
        env=project.dolmen.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert server.stuck.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert not (project.directory / "image.lock").exists()
    assert list((project.store / "git").iterdir())
    project.name(f"{server.url}/packages/.git#main:pkg/one")
    project.build()
    left = {path.name for path in (project.store / "git").iterdir()}
    assert left == {repository.git("rev-parse", "HEAD")}


def test_clean_and_verify(project: Project, repository: Repository) -> None:
    project.name(f"{repository.url}#main:pkg/one")
    project.build()
    checkout = project.store / "git" / repository.git("rev-parse", "HEAD")
    cache = ("--cache", project.store, "cache")
    assert "git checkout" not in project.dolmen.run(*cache, "clean").stdout
    (checkout / "files" / "pkg" / "one" / "file").write_text("changed")
    (checkout / "files" / "pkg" / "one" / "more").write_text("more")
    done = project.dolmen.run(*cache, "verify")
    assert "do not match the commit; removed" in done.stdout
    assert not checkout.exists()
    project.build("--force")
    # A build notices a change of its package itself.
    (checkout / "files" / "pkg" / "one" / "file").write_text("changed")
    project.build("--force")
    assert (checkout / "files" / "pkg" / "one" / "file").read_text() == "one"
    os.utime(checkout / "manifest.json", (1, 1))
    assert "1 git checkout" in project.dolmen.run(*cache, "clean", "--dry-run").stdout
    assert checkout.exists()
    assert "1 git checkout" in project.dolmen.run(*cache, "clean").stdout
    assert not checkout.exists()


def test_a_store_inside_of_a_work_tree(project: Project, repository: Repository) -> None:
    subprocess.run(["git", "init", "-q", project.directory], check=True)
    project.store = project.directory / "store"
    project.name(f"{repository.url}#main:pkg/one")
    project.build()
    assert f"example/one:{repository.tree('pkg/one')}" in project.names()


def test_files_are_those_of_the_tree(project: Project, repository: Repository) -> None:
    home = project.dolmen.home
    (home / ".gitconfig").write_text(
        f'[core]\nautocrlf = true\n[filter "x"]\nsmudge = touch {home}/ran; cat\n'
        f"[init]\ntemplateDir = {home}/template\n"
    )
    hook = home / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {home}/ran\n")
    hook.chmod(0o755)
    repository.write(
        "pkg/one/.gitattributes", "file ident export-subst filter=x\n*.txt eol=crlf text\n"
    )
    repository.write("pkg/one/file", "$Id$ $Format:%H$\n")
    repository.write("pkg/one/.gitignore", "ignored.txt\n")
    repository.write("pkg/one/ignored.txt", "a\nb\n")
    repository.write("pkg/one/Dockerfile", "FROM scratch\nCOPY file ignored.txt /\n")
    repository.commit()
    project.name(f"{repository.url}#main:pkg/one")
    project.build()
    assert project.content("file") == b"$Id$ $Format:%H$\n"
    assert project.content("ignored.txt") == b"a\nb\n"
    assert f"example/one:{repository.tree('pkg/one')}" in project.names()
    assert not (home / "ran").exists()


def test_nothing_of_a_hostile_repository_runs(
    project: Project, repository: Repository, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    config = f"[core]\n\tfsmonitor = touch {mark}; false\n\tsshCommand = touch {mark}\n"
    config += f"\thooksPath = {tmp_path}/hooks\n[uploadpack]\n\tpackObjectsHook = touch {mark};\n"
    hook = tmp_path / "hooks" / "post-upload-pack"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    # A bare repository inside of the package: git would take its configuration.
    for path in ("HEAD", "refs/x", "objects/x"):
        repository.write(f"pkg/one/{path}", "ref: refs/heads/main\n")
    bare = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n"
    repository.write("pkg/one/config", bare + config)
    repository.write("pkg/one/.lfsconfig", f"[lfs]\n\turl = ext::touch {mark}\n")
    repository.commit()
    with (repository.path / ".git" / "config").open("a") as file:
        file.write(config)
    project.name(f"{repository.url}#main:pkg/one")
    project.build()
    assert not mark.exists()
    assert f"example/one:{repository.git('rev-parse', 'HEAD:pkg/one')}" in project.names()


@pytest.mark.parametrize(
    ("path", "target", "directory", "reason"),
    [
        ("pkg/link", "../../outside", "pkg/link", "is a symbolic link, not a directory"),
        ("pkg/link", "one", "pkg/link", "is a symbolic link, not a directory"),
        ("pkg/one/build.yml", "../../../../outside/build.yml", "pkg/one", "outside of the rep"),
        ("pkg/one/Dockerfile", "/etc/hostname", "pkg/one", "outside of the repository"),
        ("pkg/one/.dockerignore", "/etc/hostname", "pkg/one", "outside of the repository"),
        ("pkg/one/debs.lock", "/etc/hostname", "pkg/one", "outside of the repository"),
    ],
)
def test_links_that_lead_elsewhere(
    project: Project,
    repository: Repository,
    tmp_path: Path,
    path: str,
    target: str,
    directory: str,
    reason: str,
) -> None:
    Repository.create(tmp_path / "outside")
    (repository.path / path).unlink(missing_ok=True)
    (repository.path / path).symlink_to(target)
    repository.commit()
    project.name(f"{repository.url}#main:{directory}")
    shown = project.fail()
    assert reason in shown
    assert "error[DM0763]" in shown or "error[DM0766]" in shown


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ('buildArgs: ["X=@dolmen:pkg:../../../outside/pkg/one"]', 4),
        ('buildArgs: ["X=@lkt:pkg:{outside}/pkg/one"]', 4),
        ('buildArgs: ["X%=@lkt:pkgs:{outside}/pkg/*"]', 4),
        ('extra-sources: ["{outside}/pkg:x"]', 4),
        ('extra-sources: ["../../../..:x"]', 4),
        ("dockerfile: ../../../../x", 4),
    ],
)
def test_paths_that_lead_out_of_the_repository(
    project: Project, repository: Repository, tmp_path: Path, more: str, line: int
) -> None:
    outside = Repository.create(tmp_path / "outside")
    repository.package("one", more.format(outside=outside.path) + "\n")
    repository.commit()
    project.name(f"{repository.url}#main:pkg/one")
    shown = project.fail()
    assert f"build.yml:{line}:" in shown
    assert "is outside of the repository" in shown


def test_what_a_foreign_package_may_not_do(
    project: Project, repository: Repository, tmp_path: Path
) -> None:
    # The name of another image.
    repository.write(
        "pkg/one/build.yml", "image: alpine\norg: library\ntag: latest\narches: [amd64]\n"
    )
    repository.commit()
    project.name(f"{repository.url}#main:pkg/one")
    project.build()
    assert "library/alpine:latest" not in project.names()
    # A toolchain that runs as the user.
    go = 'go: {toolchain: "evil/go:1", programs: {/usr/bin/x: .}}\n'
    repository.write("pkg/one/build.yml", "image: x\norg: example\narches: [amd64]\n" + go)
    repository.commit()
    project.run("lock", "--update", "all")
    assert "their toolchain would run as your user" in project.fail("--offline")
    # Files that git fetches from elsewhere.
    other = Repository.create(tmp_path / "other")
    repository.package("sub")
    repository.git("submodule", "--quiet", "add", other.url, "pkg/sub/module")
    repository.commit()
    project.name(f"{repository.url}#main:pkg/sub")
    project.run("lock", "--update", "all")
    assert "the submodule 'pkg/sub/module', which is not fetched" in project.fail()
    # The rest of the repository works.
    project.name(f"{repository.url}#main:pkg/two")
    repository.package("one")
    repository.commit()
    project.run("lock", "--update", "all")
    project.build()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as made:
        yield made


def test_a_catalogue_at_a_registry(
    project: Project, repository: Repository, registry: RegistryServer, tmp_path: Path
) -> None:
    name = registry.name("team/packages:1")
    first = repository.git("rev-parse", "HEAD")

    def publish(*words: str) -> subprocess.CompletedProcess[str]:
        store = ("--cache", tmp_path / "publisher", "pkg", "publish", *words)
        return project.dolmen.run(*store, repository.path / "pkg", name)

    done = publish()
    assert done.returncode == 0, done.stderr
    pinned = done.stdout.strip()
    digest = pinned.partition("@")[2]
    assert publish().stdout.strip() == pinned  # the same commit has the same bytes
    project.image.write_text(f'init: ["@oci:{name}//pkg/two"]\n')
    project.build()
    assert (project.content("file"), project.content("one")) == (b"two", b"one")
    assert f"example/two:{repository.tree('pkg/two')}" in project.names()
    entry = f'["@oci:{name}"]\ncommit = "{first}"\ndigest = "{digest}"\nresolved = '
    assert entry in project.lock
    # The tag moves, and the lock does not.
    repository.write("pkg/two/file", "later")
    assert "has uncommitted changes" in publish().stderr
    second = repository.commit()
    assert publish().returncode == 1
    assert publish("--override").returncode == 0
    trace = tmp_path / "trace"
    offline = project.words("build", *_BUILD, "--force", "--offline")
    done = run_without_network(project.dolmen, trace, *offline)
    assert (done.returncode, network_calls(trace)) == (0, []), done.stderr
    assert project.content("file") == b"two"
    project.store = tmp_path / "other"
    assert "error[DM0765]" in project.fail("--offline")
    project.build("--force")
    assert project.content("file") == b"two"
    moved = project.run("lock", "--update", "packages").stdout
    assert moved == f"{name} {second} (was {first})\n"
    project.build()
    assert project.content("file") == b"later"
    # Standard input has no lock: a digest does without.
    for text, status in ((name, 1), (pinned, 0)):
        words = ("--cache", project.store, "build", *_BUILD, "--dir", project.directory, "-")
        done = project.dolmen.run(*words, stdin=f'init: ["@oci:{text}//pkg/two"]\n')
        assert done.returncode == status, done.stderr
    cache = ("--cache", project.store, "cache")
    for words in (("ls",), ("verify",), ("inspect", name), ("clean",)):
        done = project.dolmen.run(*cache, *words)
        assert done.returncode == 0, done.stderr


def test_names_at_a_registry_that_are_no_catalogue(
    project: Project, repository: Repository, registry: RegistryServer
) -> None:
    project.image.write_text(f'init: ["@oci:{registry.name("none:1")}//pkg/one"]\n')
    shown = project.fail()
    assert "image.yml:1:8: error[DM03" in shown
    project.name(f"{repository.url}#main:pkg/one")
    project.build()
    image = f"docker.io/example/one:{repository.tree('pkg/one')}"
    target = registry.name("team/one:1")
    words = ("--cache", project.store, "cache", "push", "--remote-name", target, image)
    assert project.dolmen.run(*words).returncode == 0
    project.image.write_text(f'init: ["@oci:{target}//pkg/one"]\n')
    shown = project.fail()
    assert "error[DM0766]" in shown
    assert "has no packages" in shown
    project.image.write_text('init: ["@oci:a/B//pkg/one"]\n')
    assert "image.yml:1:8: error[DM02" in project.fail()
