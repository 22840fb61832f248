"""Builds by buildah: without a daemon, with its storage below the store.

buildah gets the base images from the store, under names made of their digests, a Dockerfile whose
FROM lines have these names, and a directory with the build context. It never contacts a registry.
Only new layers are imported from its image; the store has the others already.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assembler.codes import host
from assembler.disk_space import temporary_directory
from assembler.dockerfile.base_images import base_image_name, write_layout
from assembler.dockerfile.build_log import BuildLogParser
from assembler.dockerfile.buildah_image import import_image
from assembler.dockerfile.builder_dockerfile import rewrite_for_builder
from assembler.dockerfile.emulation import check_runnable
from assembler.dockerfile.heredocs import HEREDOC_CONTEXT, replace_heredocs
from assembler.dockerfile.isolation import Isolation
from assembler.dockerfile.stages import PROXIES
from assembler.errors import HostError, wrap_os_errors
from assembler.events import task
from assembler.oci import Image, WrittenImage, digest_hex, hold_lock
from assembler.scratch_directories import scratch_directory
from assembler.tools import (
    ProcessLimits,
    ProcessResult,
    StallLimits,
    has_subordinate_ids,
    program_error,
    run_program,
    subordinate_ids_command,
    user_name,
    without_cancellation,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.options import DockerfileOptions
    from assembler.dockerfile.stages import DockerfilePlan, Stage
    from assembler.dockerfile.syntax import Instruction
    from assembler.events import Reporter
    from assembler.oci import Store

# RUN may wait for a slow server in silence.
_LIMITS = ProcessLimits(seconds=6 * 3600.0, output=1 << 30, stall=StallLimits(seconds=3600.0))
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*")
# What buildah prints if it has a single id to map.
_NEEDS_IDS = re.compile(
    r"insufficient UIDs or GIDs|no subuid ranges|lchown .*invalid argument|newuidmap"
)
_STEP = re.compile(r"(?:\[(\d+)/\d+\] )?STEP (\d+)/\d+: (.*)")
# The environment variables that buildah and its helpers need.
_ENVIRONMENT = ("PATH", "HOME", "XDG_RUNTIME_DIR", "USER", "LOGNAME")


@dataclass(frozen=True, slots=True)
class _BuildahPaths:
    """The files of a build, and the name of its image in buildah."""

    dockerfile: Path
    context: Path
    tag: str
    # The directory with the files of heredocs, if there are any.
    heredocs: Path | None = None


@dataclass(frozen=True, slots=True)
class Buildah:
    """The program buildah on this machine."""

    program: Path
    # The directory of its images and containers.
    storage: Path
    reporter: Reporter
    # No command has a network.
    offline: bool = False

    @property
    def _isolation(self) -> Isolation:
        return _isolation(self.program)

    @property
    def _directories(self) -> tuple[Path, ...]:
        """The directories of images, of locks, and of temporary files and RUN caches."""
        return self.storage / "root", self.storage / "run", self.storage / "tmp"

    @property
    def name(self) -> str:
        """Return its name and version."""
        variables = {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}
        outcome = run_program([self.program, "--version"], variables)
        found = _VERSION.search(outcome.output.decode("utf-8", "replace"))
        return "buildah" + (f" {found[0]}" if found else "")

    def build(
        self, store: Store, plan: DockerfilePlan, inputs: BuildInputs, options: DockerfileOptions
    ) -> WrittenImage:
        """Build the image of the last stage, and put it into the store."""
        check_runnable(plan)
        with wrap_os_errors(self.storage):
            self.storage.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.storage / "import.lock"):
            self._isolation.prepare(self._directories)
        work = inputs.workspace
        self._isolation.give(work)
        self._check_namespaces(work)
        names = {
            key: self._import_base(store, image, work)
            for key, image in inputs.base_images.images.items()
        }
        tag = f"localhost/dolmen-made-{work.name.lower().replace('_', '-u-')}x"
        replacements = replace_heredocs(store, plan, inputs)
        heredocs = work / "texts" if replacements.files else None
        paths = _BuildahPaths(work / "Dockerfile", work / "context", tag, heredocs)
        dockerfile = rewrite_for_builder(plan, names, replacements.lines)
        with wrap_os_errors(work):
            paths.context.mkdir()
            paths.dockerfile.write_text(dockerfile, "utf-8")
            for path, data in replacements.files.items():
                file = work / "texts" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                file.chmod(0o644)
        inputs.context.write(paths.context)
        self._isolation.give(work)
        with self._use_storage(work):
            self._run_build(plan, inputs.time, paths, options)
            out = work / "out"
            # A plain directory: in an OCI layout, every layer would be compressed.
            words = ("push", "--format", "oci", "--disable-compression", tag, f"dir:{out}")
            self._run_checked(*words, work=work)
            image = import_image(store, out, plan, inputs)
            self.run("rmi", "--force", tag, work=work)
            return image

    def _check_namespaces(self, work: Path) -> None:
        """Raise if no namespaces can be created here, as in an unprivileged container."""
        outcome = self._run_isolated(["true"], work)
        if outcome.status:
            reason = outcome.errors.strip().splitlines()[-1:] or ["no reason given"]
            if not has_subordinate_ids():
                raise _no_subordinate_ids_error(reason[0])
            raise HostError.of(
                host.NO_NAMESPACES,
                f"no namespaces for RUN can be created here: {reason[0]}",
                "it takes user, mount, PID and IPC namespaces: in a container, allow them "
                "(`docker run --privileged`), or build elsewhere: "
                "`--builder docker`, or a machine that allows them",
                "recipes (`debs:`), Go programs (`go:`) and Dockerfiles without RUN need none",
            )

    @contextmanager
    def _use_storage(self, work: Path) -> Iterator[None]:
        """Share the storage with other builds; remove what interrupted builds have left."""
        with wrap_os_errors(self.storage):
            lock = (self.storage / "use.lock").open("ab")
        running = self.storage / f"running-{work.name}"
        with lock:
            self._clean_up(lock, work)
            fcntl.flock(lock, fcntl.LOCK_SH)
            with wrap_os_errors(running):
                running.touch()
            try:
                yield
            except BaseException:
                self._clean_up(lock, work)
                raise
            running.unlink(missing_ok=True)

    def _clean_up(self, lock: IO[bytes], work: Path) -> None:
        """Remove what interrupted builds have left, unless another build runs."""
        markers = [*self.storage.glob("running-*")]
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if markers:
                with without_cancellation():
                    # All containers, and images that are neither base images nor named.
                    self.run("rm", "--all", work=work)
                    self.run("rmi", "--prune", "--force", work=work)
            for path in markers:
                path.unlink(missing_ok=True)

    def _import_base(self, store: Store, image: Image, work: Path) -> str:
        """Import an image of the store into buildah, unless it has it; return its name there."""
        name = f"localhost/{base_image_name(image)}"
        with hold_lock(self.storage / "import.lock"):
            if self.run("inspect", "--type", "image", name, work=work).status == 0:
                return name
            layout = write_layout(store, image, work)
            if self._isolation.ids is not None:
                _link_blobs(store, image, layout)
                self._isolation.give(layout)
            platform = image.config.platform
            with task(self.reporter, f"import {image.reference} into buildah") as progress:
                words = ["--os", platform.os, "--arch", platform.architecture]
                if platform.variant:
                    words += ["--variant", platform.variant]
                pulled = self._run_checked(
                    "pull", "--quiet", *words, f"oci:{layout.name}", work=work
                )
                # Whether a layout gives an image a name depends on buildah's version.
                identifier = pulled.output.decode("utf-8", "replace").split()[-1:]
                self._run_checked("tag", *identifier, name, work=work)
                progress.outcome = "imported"
        return name

    def planned_commands(self, plan: DockerfilePlan, options: DockerfileOptions) -> tuple[str, ...]:
        """Return the command of the build, with short names instead of temporary paths."""
        words = self._build_command(
            plan, 0, _BuildahPaths(Path("Dockerfile"), Path("CONTEXT"), "TAG"), options
        )
        return (shlex.join(["buildah", *words]),)

    def _build_command(
        self, plan: DockerfilePlan, time: int, paths: _BuildahPaths, options: DockerfileOptions
    ) -> list[str]:
        arguments = plan.arguments
        declared = plan.declared_arguments()
        given = {**arguments.platform_arguments, **arguments.given}
        words = [
            # Without layers there is no step cache, which would ignore the inputs.
            *("build", "--isolation", "chroot", "--layers=false", "--identity-label=false"),
            *("--timestamp", str(time), "--pull-never", "--no-hosts"),
            *("--platform", str(arguments.target)),
            *("--file", str(paths.dockerfile), "--tag", paths.tag),
            *(word for agent in options.ssh for word in ("--ssh", agent)),
        ]
        for name, value in sorted(given.items()):
            if name in declared or name.upper() in PROXIES:
                words += ["--build-arg", f"{name}={value}"]
        if paths.heredocs is not None:
            words += ["--build-context", f"{HEREDOC_CONTEXT}={paths.heredocs}"]
        return [*words, str(paths.context)]

    def _run_build(
        self, plan: DockerfilePlan, time: int, paths: _BuildahPaths, options: DockerfileOptions
    ) -> None:
        log = _BuildahLogParser(plan, self.reporter, options.no_network_hint)
        # What RUN --mount=type=cache keeps is below this directory, and stays.
        kept = self.storage / "tmp"
        with _short_path(kept) if options.ssh else nullcontext(kept) as temporary:
            environment = self._environment(temporary, paths.context.parent)
            agent = os.environ.get("SSH_AUTH_SOCK", "") if options.ssh else ""
            if agent:
                environment["SSH_AUTH_SOCK"] = agent
            command = self._isolation.command(
                self._words(self._build_command(plan, time, paths, options)),
                (*self._directories, paths.context.parent, temporary),
                network=options.run_network and not self.offline,
                agent=agent,
            )
            outcome = run_program(command, environment, limits=_LIMITS, on_output=log.feed)
            for path in kept.glob("agent-*"):
                path.unlink(missing_ok=True)
        log.finish()
        if outcome.status:
            raise log.build_error(writes=(self.storage,))

    def _run_checked(self, *words: str, work: Path) -> ProcessResult:
        outcome = self.run(*words, work=work)
        if outcome.status:
            if _NEEDS_IDS.search(outcome.errors) and not has_subordinate_ids():
                raise _no_subordinate_ids_error(outcome.errors.strip().splitlines()[-1])
            raise program_error(["buildah", *words], outcome)
        return outcome

    def run(self, *words: str, work: Path) -> ProcessResult:
        """Run a command of buildah on its storage; return the result."""
        command = self._isolation.command(
            self._words(words),
            (*self._directories, work),
            work,
            network=not self.offline,
        )
        return run_program(
            command,
            self._environment(work, work),
            limits=_LIMITS,
            directory=work,
            writes=(self.storage, work),
        )

    def _words(self, words: Sequence[str]) -> list[str]:
        images, locks, _ = self._directories
        return [str(self.program), "--root", str(images), "--runroot", str(locks), *words]

    def _run_isolated(self, command: Sequence[str], work: Path) -> ProcessResult:
        isolated = self._isolation.command(
            command, (*self._directories, work), work, network=not self.offline
        )
        return run_program(isolated, self._environment(work, work), directory=work)

    def _environment(self, temporary: Path, home: Path) -> dict[str, str]:
        variables = {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}
        variables |= self._isolation.environment(home)
        return variables | {"LC_ALL": "C.UTF-8", "TMPDIR": str(temporary), "TZ": "UTC"}


@cache
def _isolation(program: Path) -> Isolation:
    return Isolation(program)


def _link_blobs(store: Store, image: Image, layout: Path) -> None:
    """Give a layout its own names of blobs: the store's directory may be closed to others."""
    with wrap_os_errors(layout):
        (layout / "blobs").unlink()
        (layout / "blobs" / "sha256").mkdir(parents=True)
        manifest = image.manifest
        for digest in {image.digest, manifest.config.digest, *(d.digest for d in manifest.layers)}:
            target = layout / "blobs" / "sha256" / digest_hex(digest)
            os.link(store.path(digest), target)


def _no_subordinate_ids_error(reason: str) -> HostError:
    return HostError.of(
        host.NO_SUBORDINATE_IDS,
        f"buildah cannot give files to other users, since {user_name()} has no subordinate ids: "
        f"{reason}",
        subordinate_ids_command(),
        "recipes (`debs:`), Go programs (`go:`) and Dockerfiles without RUN need none",
    )


@contextmanager
def _short_path(directory: Path) -> Iterator[Path]:
    """Give a short path to a directory: buildah makes a socket there, whose path is limited."""
    with (
        wrap_os_errors(temporary_directory()),
        scratch_directory() as above,
    ):
        link = above / "t"
        link.symlink_to(directory.absolute(), target_is_directory=True)
        yield link


class _BuildahLogParser(BuildLogParser):
    """Parses the output of buildah."""

    def parse_step(self, line: str) -> bool:
        """Tell whether a line is about steps, and set the instruction; stages count their own."""
        step = _STEP.fullmatch(line)
        if step is None:
            return line.startswith("subprocess exited")
        self.instruction = self._instruction(int(step[1] or 1), int(step[2]))
        self.last_lines = []
        return True

    def _instruction(self, stage: int, step: int) -> Instruction | None:
        if not 0 < stage <= len(self.plan.stages):
            return None
        found: Stage = self.plan.stages[stage - 1]
        steps = (found.start, *found.instructions)
        return steps[step - 1] if 0 < step <= len(steps) else None
