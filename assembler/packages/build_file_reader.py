"""Reading build.yml: the frozen model, and the checks that a schema cannot express."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from assembler.catalog import CATALOG_PREFIX, catalog_directory
from assembler.codes import packages
from assembler.config import (
    DEFAULT_ARCHES,
    DEFAULT_DOCKERFILE,
    DEFAULT_GITREPO,
    DEFAULT_LDFLAGS,
    DEFAULT_ORG,
    DEFAULT_TAG,
    BuildFile,
    DebsRecipe,
    DockerImages,
    ExtraSource,
    GoPrograms,
    LinuxSource,
    RecipeFile,
)
from assembler.diagnostics import Diagnostic
from assembler.errors import DolmenError, PackageError
from assembler.oci import Reference

if TYPE_CHECKING:
    from assembler.codes import Code
    from assembler.config import BuildDocument

Data = Mapping[str, Any]
_BUILD_ARGUMENT = re.compile(r"[A-Za-z_%][A-Za-z0-9_%]*=.*", re.DOTALL)
_TEMPLATE_ARGUMENT = re.compile(r"@(?:lkt|dolmen):(?P<kind>[a-z]*):")
_USER_SYNTAX = re.compile(r"[a-z_][a-z0-9_-]*(?::[0-9]{1,10}){0,2}")


def locate_package(named: str | Path) -> Path:
    """Return the directory of a package that is named by it, or by `@dolmen:NAME`."""
    text = str(named)
    if text.startswith(CATALOG_PREFIX):
        return catalog_directory(text.removeprefix(CATALOG_PREFIX))
    return Path(named)


def parse_build_file(document: BuildDocument) -> BuildFile:
    """Return the model of a build.yml that conforms to the schema."""
    reader = _BuildFileReader(document)
    build_file = reader.parse_build_file()
    if reader.problems:
        raise PackageError(reader.problems)
    return build_file


def argument_problem(text: str) -> tuple[str, str] | None:
    """Return what is wrong with the package reference of a build argument, and a hint."""
    key, _, value = text.partition("=")
    template = _TEMPLATE_ARGUMENT.match(value)
    if template and template["kind"] not in ("pkg", "pkgs"):
        return (
            f"unknown value {template.group()!r}",
            "use @dolmen:pkg:DIR or @dolmen:pkgs:PATTERN",
        )
    if template is None and value.startswith(CATALOG_PREFIX):
        try:
            locate_package(value)
        except PackageError as error:
            unknown = error.diagnostics[0]
            return unknown.message, unknown.hints[0]
    if (template is not None and template["kind"] == "pkgs") != ("%" in key):
        return (
            f"the key of {text!r} does not fit its value",
            "a key has a % if, and only if, its value begins with @dolmen:pkgs:",
        )
    return None


@dataclass(slots=True)
class _BuildFileReader:
    """Creates the model, and collects all problems."""

    document: BuildDocument
    problems: list[Diagnostic] = field(default_factory=list)

    def parse_build_file(self) -> BuildFile:
        data: Data = self.document.data
        return BuildFile(
            image=data["image"],
            org=data.get("org") or DEFAULT_ORG,
            tag=data.get("tag") or DEFAULT_TAG,
            dockerfile=data.get("dockerfile") or DEFAULT_DOCKERFILE,
            arches=_strings(data, "arches") or DEFAULT_ARCHES,
            extra_sources=tuple(self._extra_sources(data)),
            gitrepo=data.get("gitrepo") or DEFAULT_GITREPO,
            network=bool(data.get("network", False)),
            disable_cache=bool(data.get("disable-cache", False)),
            config=self.document.config,
            label=data.get("config"),
            build_args=tuple(self._build_args(data)),
            docker_images=self._docker_images(data),
            debs=self._recipe(data),
            go=self._go(data["go"]) if data.get("go") is not None else None,
            linux=self._linux(data["linux"]) if data.get("linux") is not None else None,
            positions=self.document.positions,
        )

    def _report(self, code: Code, message: str, *hints: str, at: tuple[str | int, ...]) -> None:
        self.problems.append(
            Diagnostic(code, message, self.document.positions.place_of(*at), hints)
        )

    def _extra_sources(self, data: Data) -> Iterator[ExtraSource]:
        for i, text in enumerate(_strings(data, "extra-sources")):
            source, colon, destination = text.partition(":")
            if not colon or not source or not destination or ":" in destination:
                self._report(
                    packages.BAD_SOURCE,
                    f"invalid extra source {text!r}",
                    "write it as SOURCE:DESTINATION, for example ../shared:src/shared",
                    at=("extra-sources", i),
                )
                continue
            inside = PurePosixPath("/", destination)
            if ".." in inside.parts:
                self._report(
                    packages.BAD_SOURCE,
                    f"the destination {destination!r} leaves the build context",
                    at=("extra-sources", i),
                )
                continue
            yield ExtraSource(Path(source), inside.relative_to("/"))

    def _build_args(self, data: Data) -> Iterator[str]:
        for i, text in enumerate(_strings(data, "buildArgs")):
            problem = (
                argument_problem(text)
                if _BUILD_ARGUMENT.fullmatch(text)
                else (f"invalid build argument {text!r}", "write it as KEY=VALUE")
            )
            if problem is None:
                yield text
            else:
                self._report(packages.BAD_BUILD_ARGUMENT, *problem, at=("buildArgs", i))

    def _docker_images(self, data: Data) -> DockerImages | None:
        given = (data.get("depends") or {}).get("docker-images")
        if not given:
            return None
        where = ("depends", "docker-images")
        for one, other in (("target", "target-dir"), ("list", "from-file")):
            if given.get(one) and given.get(other):
                self._report(
                    packages.BAD_DEPENDS,
                    f"{one} and {other} cannot be given together",
                    "remove one of them",
                    at=(*where, other),
                )
        if not (given.get("target") or given.get("target-dir")):
            self._report(
                packages.BAD_DEPENDS,
                "neither target nor target-dir is set",
                "set target (a file) or target-dir (a directory)",
                at=where,
            )
        paths = {}
        for key in ("target", "target-dir", "from-file"):
            text = given.get(key)
            paths[key] = PurePosixPath(text) if text else None
            if text and (text.startswith("/") or ".." in PurePosixPath(text).parts):
                self._report(
                    packages.BAD_DEPENDS,
                    f"{key} {text!r} is not a relative path inside the package",
                    at=(*where, key),
                )
        for i, name in enumerate(_strings(given, "list")):
            self._check_pin(name, (*where, "list", i))
        return DockerImages(
            paths["target"], paths["target-dir"], paths["from-file"], _strings(given, "list")
        )

    def _check_pin(self, name: str, at: tuple[str | int, ...]) -> None:
        try:
            pinned = Reference.parse(name).pinned
        except DolmenError as error:
            self.problems.extend(
                error.with_place(self.document.positions.place_of(*at)).diagnostics
            )
            return
        if not pinned:
            self._report(
                packages.BAD_DEPENDS,
                f"the image {name!r} lacks a digest",
                f"pin it as {name}@sha256:…, so that the package is reproducible",
                at=at,
            )

    def _recipe(self, data: Data) -> DebsRecipe | None:
        if data.get("debs") is not None:
            return self._debs(data["debs"], data.get("linux"))
        # Programs alone are an image, too.
        return DebsRecipe(suite="", packages=()) if data.get("go") is not None else None

    def _go(self, data: Data) -> GoPrograms:
        programs = {}
        for path, package in data["programs"].items():
            at = ("go", "programs", path)
            clean = self._path(path, at)
            if package.startswith(("/", "-")) or ".." in PurePosixPath(package).parts:
                self._report(
                    packages.BAD_RECIPE,
                    f"{package!r} is not a directory inside the package",
                    "write . or ./cmd/NAME",
                    at=at,
                )
            # A name without ./ would be the import path of another module.
            programs[clean] = "./" + str(PurePosixPath(package))
        self._check_toolchain(data["toolchain"], ("go", "toolchain"))
        ldflags = tuple(data["ldflags"]) if data.get("ldflags") is not None else DEFAULT_LDFLAGS
        return GoPrograms(data["toolchain"], programs, ldflags)

    def _linux(self, data: Data) -> LinuxSource:
        self._check_toolchain(data["toolchain"], ("linux", "toolchain"))
        if self.document.data.get("debs") is None:
            self._report(
                packages.BAD_RECIPE,
                "`linux` needs `debs` with the package of a kernel's source",
                "write debs: {suite: trixie, packages: [linux-source-6.12]}",
                at=("linux",),
            )
        return LinuxSource(
            data["toolchain"],
            _strings(data, "config"),
            bool(data.get("headers", False)),
            _strings(data, "make"),
        )

    def _check_toolchain(self, toolchain: str, at: tuple[str, ...]) -> None:
        if toolchain.startswith(("@dolmen:pkg:", "@lkt:pkg:")):
            return
        try:
            if toolchain.startswith(CATALOG_PREFIX):
                locate_package(toolchain)
            else:
                Reference.parse(toolchain)
        except DolmenError as error:
            place = self.document.positions.place_of(*at)
            self.problems.extend(error.with_place(place).diagnostics)

    def _debs(self, data: Data, linux: Data | None) -> DebsRecipe:
        links = self._paths(data.get("links") or {})
        for i, text in enumerate(_strings(data, "users")):
            if not _USER_SYNTAX.fullmatch(text):
                self._report(
                    packages.BAD_RECIPE,
                    f"invalid user {text!r}",
                    "write NAME (a user of base-passwd), NAME:UID or NAME:UID:GID",
                    at=("debs", "users", i),
                )
        return DebsRecipe(
            suite=data["suite"],
            packages=_strings(data, "packages"),
            components=_strings(data, "components") or ("main",),
            exclude=_strings(data, "exclude"),
            no_deps=bool(data.get("no-deps", False)),
            drop=_strings(data, "drop"),
            links=links,
            users=_strings(data, "users"),
            files=tuple(self._files(data.get("files") or ())),
            systemd=bool(data.get("systemd", False)),
            kernel=bool(data.get("kernel", linux is not None and not linux.get("headers"))),
            modules=_strings(data, "modules"),
            firmware=bool(data.get("firmware", False)),
            entrypoint=_strings(data, "entrypoint"),
            command=_strings(data, "command"),
            env=_strings(data, "env"),
            workdir=data.get("workdir") or "",
        )

    def _paths(self, links: Mapping[str, str]) -> dict[str, str]:
        cleaned = {}
        for path, target in links.items():
            clean = self._path(path, ("debs", "links", path))
            if clean:
                cleaned[clean] = target
        return cleaned

    def _path(self, text: str, at: tuple[str | int, ...]) -> str:
        """Return an absolute path in the image without its leading slash."""
        parts = PurePosixPath(text).parts
        if text.startswith("/") and ".." not in parts and len(parts) > 1 and "\0" not in text:
            return str(PurePosixPath(*parts[1:]))
        self._report(packages.BAD_RECIPE, f"{text!r} is not an absolute path in the image", at=at)
        return ""

    def _files(self, items: Sequence[Data]) -> Iterator[RecipeFile]:
        for i, item in enumerate(items):
            at = ("debs", "files", i)
            path = self._path(item["path"], (*at, "path"))
            kinds = [k for k in ("source", "contents", "directory") if item.get(k) is not None]
            if len(kinds) != 1:
                self._report(
                    packages.BAD_RECIPE,
                    f"{item['path']} needs exactly one of source, contents and directory; it has "
                    + (" and ".join(kinds) or "none"),
                    at=at,
                )
            source = item.get("source")
            if source and (source.startswith("/") or ".." in PurePosixPath(source).parts):
                self._report(
                    packages.BAD_RECIPE,
                    f"the source {source!r} is not inside the package",
                    "move the file into the package's directory, so that the tag covers it",
                    at=(*at, "source"),
                )
            mode = item.get("mode")
            yield RecipeFile(
                path=path,
                source=source,
                contents=item.get("contents"),
                directory=bool(item.get("directory")),
                mode=int(mode, 8) if mode else None,
                uid=item.get("uid") or 0,
                gid=item.get("gid") or 0,
            )


def _strings(data: Data, key: str) -> tuple[str, ...]:
    return tuple(data.get(key) or ())
