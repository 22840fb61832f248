"""Building by BuildKit, through `docker buildx`: on this machine or on one that Docker knows.

BuildKit gets the bases as named contexts, OCI layouts of what the store has, and gives an OCI
archive back, which is read as strictly as any other.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.codes import host, packages
from assembler.errors import HostError, ImageError, PackageError, told
from assembler.events import Said, task
from assembler.oci import archive
from assembler.oci.digest import hex_part
from assembler.oci.manifest import Descriptor, Manifest, parse_document, platform_json
from assembler.oci.platform import Platform
from assembler.packages import programs
from assembler.packages.dockerfile.rewriting import check_understood, rewritten
from assembler.packages.dockerfile.stages import PROXIES
from assembler.packages.images import Layer, Made, add_described, timestamp

if TYPE_CHECKING:
    from assembler.events import Reporter
    from assembler.oci.image import Image
    from assembler.oci.store import Store
    from assembler.packages.dockerfile.assembling import Ingredients
    from assembler.packages.dockerfile.stages import Plan
    from assembler.packages.dockerfile.syntax import Instruction

DEFAULT_NAME = "dolmen-builder"
_LIMITS = programs.Limits(seconds=6 * 3600.0, output=1 << 30)
_LINE = re.compile(r"Dockerfile:(\d+)")
_LAST_LINES = 12
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")


@dataclass(frozen=True, slots=True)
class BuildKitOptions:
    """Which BuildKit is used for which platform."""

    # The contexts of Docker, by platform; a platform without one is built by the current one.
    contexts: Mapping[str, str] = field(default_factory=dict)
    name: str = DEFAULT_NAME
    # What a builder is made of if it is not there.
    image: str = ""
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class BuildKit:
    """The BuildKit that `docker buildx` leads to."""

    program: Path
    options: BuildKitOptions
    reporter: Reporter

    @property
    def name(self) -> str:
        """Return its name; versions differ from machine to machine."""
        return "buildkit"

    def build(self, store: Store, plan: Plan, ingredients: Ingredients, *, network: bool) -> Made:
        """Make the image of the last stage, and put it into the store."""
        check_understood(plan, "Dolmen")
        work = ingredients.workspace
        names = {
            key: _layout(store, image, work) for key, image in ingredients.bases.images.items()
        }
        context, dockerfile, out = work / "context", work / "Dockerfile", work / "out.tar"
        with told(work):
            context.mkdir()
            dockerfile.write_text(rewritten(plan, names), "utf-8")
        ingredients.context.write(context)
        self._ensure(plan.arguments.target)
        bases = {
            names[key]: f"oci-layout://{work / names[key]}@{image.digest}"
            for key, image in ingredients.bases.images.items()
        }
        command = self.command(plan, (dockerfile, context, out), bases, network=network)
        watcher = _Watcher(plan, self.reporter)
        environment = self._environment() | {"SOURCE_DATE_EPOCH": str(ingredients.time)}
        outcome = programs.run(command, environment, limits=_LIMITS, take=watcher.take)
        if outcome.status:
            raise watcher.failed(network=network)
        return self._taken(store, out, plan, ingredients)

    def command(
        self,
        plan: Plan,
        what: tuple[Path, Path, Path],
        bases: Mapping[str, str],
        *,
        network: bool,
    ) -> list[str]:
        """Return the command that builds; it can be run by hand."""
        dockerfile, context, out = what
        target = plan.arguments.target
        words = [
            *self._docker(target),
            *("buildx", "build", "--builder", self.options.name, "--progress", "plain"),
            *("--platform", str(target), "--file", str(dockerfile)),
            # What they would add is ours to say, and not the same twice.
            *("--provenance=false", "--sbom=false"),
            *("--network", "default" if network else "none"),
            *("--output", f"type=oci,dest={out},rewrite-timestamp=true"),
        ]
        declared = plan.declared()
        for name, value in sorted(plan.arguments.given.items()):
            if name in declared or name.upper() in PROXIES:
                words += ["--build-arg", f"{name}={value}"]
        for name, place in sorted(bases.items()):
            words += ["--build-context", f"{name}={place}"]
        return [*words, str(context)]

    def _ensure(self, platform: Platform) -> None:
        """Make the builder if there is none of its name."""
        docker = self._docker(platform)
        environment = self._environment()
        inspect = [*docker, "buildx", "inspect", self.options.name]
        if programs.run(inspect, environment).status == 0:
            return
        create = [*docker, "buildx", "create", "--name", self.options.name]
        create += ["--driver", "docker-container"]
        if self.options.image:
            create += ["--driver-opt", f"image={self.options.image}"]
        if self.options.config is not None:
            create += ["--config", str(self.options.config)]
        context = self.options.contexts.get(str(platform))
        create += [context] if context else []
        with task(self.reporter, f"make the builder {self.options.name}"):
            outcome = programs.run(create, environment)
        if outcome.status:
            raise programs.failed(create, outcome, "see whether `docker buildx ls` works")

    def _docker(self, platform: Platform) -> list[str]:
        context = self.options.contexts.get(str(platform))
        return [str(self.program), *(["--context", context] if context else [])]

    def _environment(self) -> dict[str, str]:
        docker = {k: v for k, v in os.environ.items() if k.startswith(("DOCKER_", "BUILDX_"))}
        return docker | {k: os.environ[k] for k in _KEPT if k in os.environ}

    def _taken(self, store: Store, out: Path, plan: Plan, ingredients: Ingredients) -> Made:
        """Put what BuildKit has made into the store, under a config with our labels."""
        try:
            with (
                told(out, "read"),
                out.open("rb") as file,
                task(self.reporter, "take the image of BuildKit", out.stat().st_size) as progress,
            ):
                contents = archive.read_archive(store, archive.Source(file, progress), set())
            index = parse_document(contents.document(archive.INDEX, store), archive.INDEX)
            top: Descriptor = index.manifests[0]  # type: ignore[union-attr]
            manifest = parse_document(_blob(store, contents, top.digest), "the manifest")
            if not isinstance(manifest, Manifest):
                raise _nonsense("it is not a single image")
            config: dict[str, Any] = json.loads(_blob(store, contents, manifest.config.digest))
            ids = config["rootfs"]["diff_ids"]
            pairs = zip(manifest.layers, ids, strict=True)
            layers = [Layer(descriptor, str(diff_id)) for descriptor, diff_id in pairs]
        except (ImageError, KeyError, IndexError, AttributeError, ValueError) as error:
            raise _nonsense(str(error)) from error
        missing = [layer.descriptor.digest for layer in layers if not store.has(layer.descriptor)]
        if missing:
            raise _nonsense(f"the layer {missing[0]} is not in it")
        target = plan.arguments.target
        platform = Platform.parse(plan.target.platform) if plan.target.platform else target
        inner = dict(config.get("config") or {})
        labels = {**(inner.get("Labels") or {}), **ingredients.labels}
        document = {
            **platform_json(platform),
            "created": timestamp(ingredients.time),
            "config": {**inner, "Labels": labels} if labels else inner,
            "rootfs": config["rootfs"],
            "history": config.get("history") or [],
        }
        return Made(add_described(store, layers, document, platform, ingredients.annotations))


def _layout(store: Store, image: Image, work: Path) -> str:
    """Lay out an image of the store for BuildKit, and return the name of its context."""
    layout = work / f"dolmen-base-{hex_part(image.digest)[:40]}"
    with told(layout):
        layout.mkdir(exist_ok=True)
        if not (layout / "blobs").is_symlink():
            (layout / "blobs").symlink_to(store.layout.blobs.parent.absolute())
        (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        described = replace(image.descriptor, platform=image.config.platform, annotations={})
        index = {"schemaVersion": 2, "manifests": [described.as_json()]}
        (layout / "index.json").write_text(json.dumps(index))
    return layout.name


def _blob(store: Store, contents: archive.Contents, digest: str) -> bytes:
    path = f"blobs/sha256/{hex_part(digest)}"
    descriptor = contents.blob(path)
    return store.read(Descriptor("", digest, descriptor.size))


@dataclass(slots=True)
class _Watcher:
    """Follows what BuildKit prints."""

    plan: Plan
    reporter: Reporter
    lines: list[str] = field(default_factory=list)
    rest: bytes = b""
    at: Instruction | None = None

    def take(self, data: bytes) -> None:
        *whole, self.rest = (self.rest + data).split(b"\n")
        for raw in whole:
            line = raw.decode("utf-8", "replace").rstrip("\r")
            self.reporter.emit(Said(line, 2))
            found = _LINE.fullmatch(line)
            if found is None:
                self.lines = [*self.lines[-_LAST_LINES:], line]
            else:
                # Lines stand where they stood in what the user has written.
                self.at = self._instruction(int(found[1]))

    def _instruction(self, line: int) -> Instruction | None:
        every = self.plan.dockerfile.instructions
        return next((i for i in every if i.line <= line <= i.last_line), None)

    def failed(self, *, network: bool) -> PackageError:
        what = f"{self.at.keyword} failed" if self.at else "the build failed"
        said = [line for line in self.lines if line.strip(" -")]
        last = "\n".join(
            "".join(c if c.isprintable() else " " for c in line) for line in said[-_LAST_LINES:]
        )
        hints = ["`-vv` shows everything that is printed"]
        if self.at is not None and self.at.keyword == "RUN" and not network:
            hints.append("RUN has no network unless build.yml says `network: true`")
        place = self.at.place() if self.at else None
        return PackageError.of(packages.BUILD_FAILED, f"{what}:\n{last}", *hints, place=place)


def _nonsense(why: str) -> HostError:
    return HostError.of(host.TOOL_FAILED, f"what BuildKit has made cannot be used: {why}")
