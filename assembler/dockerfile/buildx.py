"""The builders of `docker buildx`: choosing and creating them, and their storage."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.dockerfile.offline import (
    check_daemon_address,
    check_environment_daemon,
    offline_refusal,
)
from assembler.events import task
from assembler.oci import Platform
from assembler.tools import ProcessLimits, StallLimits, program_error, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from assembler.events import Reporter

DEFAULT_NAME = "dolmen-builder"
_CONTEXT = re.compile(r"(?:dolmen|linuxkit)-(linux-[a-z0-9]+(?:-v[0-9])?)")
_ENDPOINT = re.compile(r"^Endpoint:\s+(\S+)", re.MULTILINE)
_TOTAL = re.compile(r"^Total:\s+(\S+)", re.MULTILINE)
_LIMITS = ProcessLimits(seconds=1800.0, stall=StallLimits(seconds=1800.0))
_ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")


def docker_environment() -> dict[str, str]:
    """Return the environment variables that docker needs."""
    variables = {k: v for k, v in os.environ.items() if k.startswith(("DOCKER_", "BUILDX_"))}
    return variables | {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}


@dataclass(slots=True)
class _ReadyBuilders:
    """The builders that this run has found or created, by requested name."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildKitOptions:
    """The options for BuildKit: its contexts, and the builder in each."""

    # Docker contexts by platform; the current context builds for the other platforms.
    contexts: Mapping[str, str] = field(default_factory=dict)
    # The name of the builder; empty for the default one.
    name: str = ""
    # The image and the configuration file of a new builder.
    image: str = ""
    config: Path | None = None
    # Create the builder again, with its old storage.
    restart: bool = False
    _ready: _ReadyBuilders = field(default_factory=_ReadyBuilders, repr=False, compare=False)

    def context(self, platform: Platform) -> str | None:
        """Return the Docker context for a platform; None means the current one."""
        return self.contexts.get(str(platform))

    def builder(self, platform: Platform) -> str:
        """Return the name of the builder for a platform; each context has its own."""
        context, name = self.context(platform), self.name or DEFAULT_NAME
        return f"{name}-{context}" if context else name


def find_buildx(docker: Path, options: BuildKitOptions) -> tuple[Path | None, BuildKitOptions]:
    """Return docker if it has buildx, and the options with the contexts named after platforms.

    A context `dolmen-linux-arm64` (or `linuxkit-linux-arm64`) builds for linux/arm64, unless the
    options name another.
    """
    variables = docker_environment()
    if run_program([docker, "buildx", "version"], variables).status:
        return None, options
    listed = run_program([docker, "context", "ls", "--format", "{{.Name}}"], variables)
    found: dict[str, str] = {}
    for name in sorted(listed.output.decode("utf-8", "replace").split(), reverse=True):
        # In reverse order, the names with `dolmen` come last and win.
        named = _CONTEXT.fullmatch(name)
        if named is not None:
            found[str(Platform.parse("/".join(named[1].split("-"))))] = name
    return docker, replace(options, contexts={**found, **options.contexts})


@dataclass(frozen=True, slots=True)
class Buildx:
    """The program docker on this machine, with its buildx."""

    program: Path
    options: BuildKitOptions
    reporter: Reporter
    # Only a builder that exists, on this machine.
    offline: bool = False

    def builder_for(self, platform: Platform) -> str:
        """Return the builder for a platform; create it if it does not exist."""
        name, ready = self.options.builder(platform), self.options._ready  # noqa: SLF001
        with ready.lock:
            if name not in ready.names:
                if self.offline:
                    check_local_daemon(self.docker_command(platform))
                ready.names[name] = self._ensure_builder(name, platform)
                if self.offline:
                    self._check_endpoints(self.docker_command(platform), ready.names[name])
            return ready.names[name]

    def _check_endpoints(self, docker: list[str], name: str) -> None:
        """Refuse a builder with a node on another machine."""
        for endpoint in _ENDPOINT.findall(_output([*docker, "buildx", "inspect", name])):
            if "://" in endpoint:
                check_daemon_address(endpoint)
            else:
                check_local_daemon([str(self.program), "--context", endpoint])

    def _ensure_builder(self, name: str, platform: Platform) -> str:
        docker, variables = self.docker_command(platform), docker_environment()
        options = self.options
        if (
            options.name
            and run_program([*docker, "buildx", "inspect", options.name], variables).status == 0
            and not options.restart
        ):
            return options.name  # the user's own
        exists = run_program([*docker, "buildx", "inspect", name], variables).status == 0
        if exists and not options.restart:
            return name
        is_default = not (options.name or options.image)
        if not exists and is_default and self._has_containerd_store(docker):
            # The daemon's own BuildKit needs no image and no container.
            return options.context(platform) or self._current_context()
        if self.offline:
            raise offline_refusal(f"--offline forbids to create the builder {name}")
        if exists:
            # Its storage is a volume of Docker, buildx_buildkit_NAME0_state.
            self._run([*docker, "buildx", "rm", "--keep-state", name], f"stop the builder {name}")
        create = [*docker, "buildx", "create", "--name", name, "--driver", "docker-container"]
        create += ["--driver-opt", f"image={options.image}"] if options.image else []
        create += ["--config", str(options.config)] if options.config is not None else []
        context = options.context(platform)
        create += [context] if context else []
        self._run(create, f"create the builder {name}")
        return name

    def _run(self, command: list[str], title: str) -> None:
        with task(self.reporter, title):
            outcome = run_program(command, docker_environment())
            if outcome.status:
                raise program_error(command, outcome, "check that `docker buildx ls` works")

    def _has_containerd_store(self, docker: list[str]) -> bool:
        """Tell whether the daemon's own BuildKit can export images: it needs this image store."""
        command = [*docker, "info", "--format", "{{json .DriverStatus}}"]
        outcome = run_program(command, docker_environment())
        return outcome.status == 0 and b"io.containerd.snapshotter" in outcome.output

    def _current_context(self) -> str:
        shown = run_program([self.program, "context", "show"], docker_environment())
        return shown.output.decode("utf-8", "replace").strip() or "default"

    def docker_command(self, platform: Platform) -> list[str]:
        """Return the beginning of a command for a platform."""
        context = self.options.context(platform)
        return [str(self.program), *(["--context", context] if context else [])]

    def builder_names(self, platforms: Sequence[Platform] = ()) -> Iterator[str]:
        """Yield the names of the builders that were created for packages, or for platforms."""
        wanted = {self.options.builder(platform) for platform in platforms}
        listed = run_program([self.program, "buildx", "ls"], docker_environment())
        base_name = self.options.name or DEFAULT_NAME
        for line in listed.output.decode("utf-8", "replace").splitlines():
            # The nodes of a builder are indented below it.
            name = line.split()[0].rstrip("*") if line[:1].strip() else ""
            if name in wanted if wanted else name == base_name or name.startswith(f"{base_name}-"):
                yield name

    def storage_size(self, name: str) -> str:
        """Return the size of a builder's storage, in its own words."""
        command: list[str | Path] = [self.program, "buildx", "du", "--builder", name]
        output = run_program(command, docker_environment()).output.decode("utf-8", "replace")
        total = _TOTAL.search(output)
        return total[1] if total else "nothing"

    def prune(self, name: str) -> str:
        """Clear the storage of a builder; return the size that was freed."""
        command: list[str | Path] = [self.program, "buildx", "prune"]
        command += ["--builder", name, "--all", "--force"]
        outcome = run_program(command, docker_environment(), limits=_LIMITS)
        if outcome.status:
            raise program_error(command, outcome)
        total = _TOTAL.search(outcome.output.decode("utf-8", "replace"))
        return total[1] if total else "nothing"


def check_local_daemon(docker: list[str]) -> None:
    """Refuse the daemon of a docker command, perhaps with a context, on another machine."""
    program, *context = docker
    if not context and os.environ.get("DOCKER_HOST"):
        check_environment_daemon()
        return
    command = [program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    check_daemon_address(_output([*command, *context[1:]]).strip())


def _output(command: list[str]) -> str:
    """Return what a command prints; nothing if it fails, since a build fails then as well."""
    outcome = run_program(command, docker_environment())
    return "" if outcome.status else outcome.output.decode("utf-8", "replace")
