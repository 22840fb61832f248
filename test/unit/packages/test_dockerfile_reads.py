"""A build reads the Dockerfile of each package once, and plans it once for each platform."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assembler.dockerfile import stages, syntax
from assembler.oci.platform import Platform
from assembler.packages import (
    Naming,
    PackageBuildOptions,
    build_packages,
    compare_package_inputs,
    describe_steps,
    read_package,
)
from support.dockerfiles import AMD64, Kitchen

if TYPE_CHECKING:
    from assembler.diagnostics import SourceText
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Dockerfile

ARM64 = Platform.parse("linux/arm64")
BASE_YML = "image: base\norg: example\narches: [amd64, arm64]\n"
TREE = {"x": b"1"}


class Work:
    """Counts how often each Dockerfile is parsed, and planned for each platform."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parsed: Counter[str] = Counter()
        self.planned: Counter[tuple[str, Platform]] = Counter()
        parse_dockerfile, plan_type = syntax.parse_dockerfile, stages.DockerfilePlan

        def parse(source: SourceText) -> Dockerfile:
            self.parsed[_package(source.name)] += 1
            return parse_dockerfile(source)

        def plan(dockerfile: Dockerfile, *arguments: Any) -> DockerfilePlan:
            made = plan_type(dockerfile, *arguments)
            self.planned[_package(dockerfile.source.name), made.arguments.target] += 1
            return made

        monkeypatch.setattr(syntax, "parse_dockerfile", parse)
        monkeypatch.setattr(stages, "DockerfilePlan", plan)

    def check_once(self, *packages: str) -> None:
        """Check that each package was parsed once and planned once for each platform."""
        assert self.parsed == dict.fromkeys(packages, 1)
        assert self.planned == {(name, p): 1 for name in packages for p in (AMD64, ARM64)}
        self.parsed.clear()
        self.planned.clear()


def _package(dockerfile: str) -> str:
    return Path(dockerfile).parent.name


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


@pytest.fixture
def options(kitchen: Kitchen) -> PackageBuildOptions:
    return PackageBuildOptions(naming=Naming(hash="h"), sources=kitchen.sources)


def test_a_package_and_its_dependency(
    kitchen: Kitchen, work: Work, options: PackageBuildOptions
) -> None:
    directories = [
        kitchen.package("FROM example/base:h\nCOPY x /\n", TREE),
        kitchen.package("FROM scratch\nCOPY x /\n", TREE, BASE_YML, "base"),
    ]
    packages = [read_package(directory) for directory in directories]
    build_packages(packages, options, kitchen.reporter).check()
    work.check_once("app", "base")
    result = build_packages(packages, options, kitchen.reporter)
    assert [package.present for package in result.packages] == [(AMD64, ARM64)] * 2
    work.check_once("app", "base")
    lines = [*describe_steps(packages, options, kitchen.reporter)]
    assert "example/app:h for linux/arm64: up to date, nothing to build" in lines
    work.check_once("app", "base")


def test_one_package(kitchen: Kitchen, work: Work) -> None:
    kitchen.build(kitchen.package("FROM scratch\nCOPY x /\n", TREE), AMD64, ARM64)
    work.check_once("app")


def test_a_dry_run_of_a_build(kitchen: Kitchen, work: Work, options: PackageBuildOptions) -> None:
    package = read_package(kitchen.package("FROM scratch\nCOPY x /\n", TREE))
    lines = [*describe_steps([package], options, kitchen.reporter)]
    assert "example/app:h for linux/amd64: build in process" in lines
    work.check_once("app")


def test_the_inputs(kitchen: Kitchen, work: Work, options: PackageBuildOptions) -> None:
    package = kitchen.package("FROM scratch\nCOPY x /\n", TREE)
    compared = [*compare_package_inputs([package], options)]
    assert [comparison.platform for comparison in compared] == [AMD64, ARM64]
    work.check_once("app")
