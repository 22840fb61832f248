"""The builders of `docker buildx`: which one is for a platform, making them, and what they keep."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.events import task
from assembler.oci import Platform
from assembler.tools import ProcessLimits, program_error, run_program

if TYPE_CHECKING:
    from assembler.events import Reporter

DEFAULT_NAME = "dolmen-builder"
_CONTEXT = re.compile(r"(?:dolmen|linuxkit)-(linux-[a-z0-9]+(?:-v[0-9])?)")
_TOTAL = re.compile(r"^Total:\s+(\S+)", re.MULTILINE)
_LIMITS = ProcessLimits(seconds=1800.0)
_ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")


def docker_environment() -> dict[str, str]:
    """Return what docker needs of our environment."""
    docker = {k: v for k, v in os.environ.items() if k.startswith(("DOCKER_", "BUILDX_"))}
    return docker | {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}


@dataclass(slots=True)
class _ReadyBuilders:
    """The builders that were seen to be there in this run, by the name they are asked for."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    builder_names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildKitOptions:
    """Which BuildKit is used for which platform."""

    # The contexts of Docker, by platform; a platform without one is built by the current one.
    contexts: Mapping[str, str] = field(default_factory=dict)
    # Of the builder; nothing if none is asked for.
    name: str = ""
    # What a builder is made of if it is not there.
    image: str = ""
    config: Path | None = None
    # Create the builder again, with what it has kept.
    restart: bool = False
    _ready: _ReadyBuilders = field(default_factory=_ReadyBuilders, repr=False, compare=False)

    def context(self, platform: Platform) -> str | None:
        """Return the context that is named for a platform."""
        return self.contexts.get(str(platform))

    def builder(self, platform: Platform) -> str:
        """Return the name of the builder for a platform: each context has one of its own."""
        context, name = self.context(platform), self.name or DEFAULT_NAME
        return f"{name}-{context}" if context else name


def find_buildx(docker: Path, options: BuildKitOptions) -> tuple[Path | None, BuildKitOptions]:
    """Return the program if it has buildx, and the options with contexts named for platforms.

    A context `dolmen-linux-arm64` (or `linuxkit-linux-arm64`) builds for linux/arm64, unless
    another one was given for it.
    """
    variables = docker_environment()
    if run_program([docker, "buildx", "version"], variables).status:
        return None, options
    listed = run_program([docker, "context", "ls", "--format", "{{.Name}}"], variables)
    found: dict[str, str] = {}
    for name in sorted(listed.output.decode("utf-8", "replace").split(), reverse=True):
        # Ours come last, and count.
        named = _CONTEXT.fullmatch(name)
        if named is not None:
            found[str(Platform.parse("/".join(named[1].split("-"))))] = name
    return docker, replace(options, contexts={**found, **options.contexts})


@dataclass(frozen=True, slots=True)
class Buildx:
    """The `docker` of this machine, with its buildx."""

    program: Path
    options: BuildKitOptions
    reporter: Reporter

    def builder_for(self, platform: Platform) -> str:
        """Return the builder to use, made if there is none of its name."""
        name, ready = self.options.builder(platform), self.options._ready  # noqa: SLF001
        with ready.lock:
            if name not in ready.builder_names:
                ready.builder_names[name] = self._ensure_builder(name, platform)
            return ready.builder_names[name]

    def _ensure_builder(self, name: str, platform: Platform) -> str:
        docker, variables, options = self.docker(platform), docker_environment(), self.options
        if (
            options.name
            and run_program([*docker, "buildx", "inspect", options.name], variables).status == 0
            and not options.restart
        ):
            return options.name  # one of the user's own, as it is
        there = run_program([*docker, "buildx", "inspect", name], variables).status == 0
        if there and not options.restart:
            return name
        if not there and not (options.name or options.image) and self._has_containerd_store(docker):
            # The daemon's own BuildKit, which needs no image and no container.
            return options.context(platform) or self._current_context()
        if there:
            # What it has kept is in a volume of Docker, buildx_buildkit_NAME0_state.
            self._run([*docker, "buildx", "rm", "--keep-state", name], f"stop the builder {name}")
        create = [*docker, "buildx", "create", "--name", name, "--driver", "docker-container"]
        create += ["--driver-opt", f"image={options.image}"] if options.image else []
        create += ["--config", str(options.config)] if options.config is not None else []
        context = options.context(platform)
        create += [context] if context else []
        self._run(create, f"make the builder {name}")
        return name

    def _run(self, command: list[str], title: str) -> None:
        with task(self.reporter, title):
            outcome = run_program(command, docker_environment())
            if outcome.status:
                raise program_error(command, outcome, "see whether `docker buildx ls` works")

    def _has_containerd_store(self, docker: list[str]) -> bool:
        """Tell whether the daemon keeps images so that its own BuildKit can give them out."""
        asked = [*docker, "info", "--format", "{{json .DriverStatus}}"]
        outcome = run_program(asked, docker_environment())
        return outcome.status == 0 and b"io.containerd.snapshotter" in outcome.output

    def _current_context(self) -> str:
        shown = run_program([self.program, "context", "show"], docker_environment())
        return shown.output.decode("utf-8", "replace").strip() or "default"

    def docker(self, platform: Platform) -> list[str]:
        """Return the beginning of a command for a platform."""
        context = self.options.context(platform)
        return [str(self.program), *(["--context", context] if context else [])]

    def builder_names(self) -> Iterator[str]:
        """Yield the builders that were made for packages."""
        listed = run_program([self.program, "buildx", "ls"], docker_environment())
        ours = self.options.name or DEFAULT_NAME
        for line in listed.output.decode("utf-8", "replace").splitlines():
            # The machines of a builder stand below it.
            name = line.split()[0].rstrip("*") if line[:1].strip() else ""
            if name == ours or name.startswith(f"{ours}-"):
                yield name

    def storage_size(self, name: str) -> str:
        """Return how much a builder keeps, as it says it itself."""
        asked: list[str | Path] = [self.program, "buildx", "du", "--builder", name]
        said = run_program(asked, docker_environment()).output.decode("utf-8", "replace")
        total = _TOTAL.search(said)
        return total[1] if total else "nothing"

    def prune(self, name: str) -> str:
        """Clear away what a builder keeps, and return how much it was."""
        clear: list[str | Path] = [
            self.program,
            "buildx",
            "prune",
            "--builder",
            name,
            "--all",
            "--force",
        ]
        outcome = run_program(clear, docker_environment(), limits=_LIMITS)
        if outcome.status:
            raise program_error(clear, outcome)
        total = _TOTAL.search(outcome.output.decode("utf-8", "replace"))
        return total[1] if total else "nothing"
