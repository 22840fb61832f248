"""Building by a Docker daemon's own builder, the classic one: where there is neither buildah nor
BuildKit.

The daemon gets the bases under names made of their digests, and the context with a Dockerfile whose
FROM lines say those names. What it makes is taken out of it again, and its own name there removed.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from assembler.codes import host, packages
from assembler.diagnostics import Diagnostic, Severity
from assembler.dockerfile.build_log import BuildLogParser
from assembler.dockerfile.builder_dockerfile import rewrite_for_builder
from assembler.dockerfile.built_image import add_built_image, base_layers
from assembler.dockerfile.emulation import check_runnable
from assembler.dockerfile.stages import PROXIES
from assembler.errors import HostError, wrap_os_errors
from assembler.events import WarningEmitted, task
from assembler.oci import (
    ArchiveFormat,
    ExportOptions,
    LayerLimits,
    MalformedTarError,
    Reference,
    WrittenImage,
    WrittenLayer,
    add_layer,
    daemon_root_cause,
    decompress_layer,
    digest_hex,
    export_archive,
)

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.options import DockerfileOptions
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction
    from assembler.events import Reporter
    from assembler.oci import Image, Store

_DOCKERFILE, _IGNORE = ".dolmen.Dockerfile", ".dockerignore"
# Of RUN and COPY, what only BuildKit knows.
_BUILDKIT_FLAGS = frozenset({"mount", "network", "security", "link", "chmod", "parents", "exclude"})
_SECONDS = 6 * 3600
_CHUNK = 1 << 20
_LARGEST_DOCUMENT = 16 << 20
_Json = dict[str, Any]
_STEP = re.compile(r"Step (\d+)/\d+ : ")


@dataclass(frozen=True, slots=True)
class ClassicBuilder:
    """The builder of the Docker daemon that the environment leads to."""

    reporter: Reporter

    @property
    def name(self) -> str:
        """Return its name; versions differ from machine to machine."""
        return "docker"

    def build(
        self, store: Store, plan: DockerfilePlan, inputs: BuildInputs, options: DockerfileOptions
    ) -> WrittenImage:
        """Make the image of the last stage, and put it into the store."""
        check_runnable(plan)
        _check_supported(plan)
        if options.ssh:
            raise HostError.of(
                host.TOOL_MISSING,
                "Docker's classic builder has no --ssh",
                "install buildah, or docker-buildx for BuildKit",
            )
        self._warn()
        work = inputs.workspace
        tag = f"dolmen-made-{work.name.lower().replace('_', '-u-')}x"
        with _docker_client() as client:
            names = {
                key: self._load(client, store, image, work)
                for key, image in inputs.base_images.images.items()
            }
            context = _pack_context(inputs, rewrite_for_builder(plan, names, platforms=False))
            watcher = _ClassicLogParser(plan, self.reporter, options.network)
            try:
                with context.open("rb") as file:
                    self._run(client, file, tag, watcher, options)
                with task(self.reporter, "take the image of Docker") as progress:
                    progress.outcome = "taken"
                    return _import_image(client, store, tag, plan, inputs)
            finally:
                with suppress(Exception):
                    client.images.remove(tag, force=True)

    def planned_commands(self, plan: DockerfilePlan, options: DockerfileOptions) -> tuple[str, ...]:
        """Return nothing: the daemon is spoken to without a program."""
        _ = plan, options
        return ()

    def _warn(self) -> None:
        self.reporter.emit(
            WarningEmitted(
                Diagnostic(
                    packages.CLASSIC_BUILDER,
                    "this is built by Docker's classic builder: the image is not the same twice",
                    hints=("install buildah, or docker-buildx for BuildKit",),
                    severity=Severity.WARNING,
                )
            )
        )

    def _load(self, client: DockerClient, store: Store, image: Image, work: Path) -> str:
        """Give the daemon an image of the store, unless it has it; return its name there."""
        import docker  # noqa: PLC0415 - slow to import, and seldom needed

        name = f"dolmen-base-{digest_hex(image.digest)[:40]}"
        with suppress(docker.errors.ImageNotFound):
            client.images.get(name)
            return name
        where = work / f"{name}.tar"
        wanted = ExportOptions(
            image.reference, ArchiveFormat.DOCKER, image.config.platform, Reference.parse(name)
        )
        with wrap_os_errors(where), where.open("xb") as out:
            export_archive(store, wanted, out, self.reporter)
        with task(self.reporter, f"give {image.reference} to Docker") as progress:
            with wrap_os_errors(where, "read"), where.open("rb") as file:
                client.images.load(file)
            progress.outcome = "loaded"
        where.unlink()
        return name

    def _run(
        self,
        client: DockerClient,
        context: IO[bytes],
        tag: str,
        watcher: _ClassicLogParser,
        options: DockerfileOptions,
    ) -> None:
        plan = watcher.plan
        declared = plan.declared_arguments()
        given = {**plan.arguments.platform_arguments, **plan.arguments.given}
        stream = client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=_DOCKERFILE,
            tag=tag,
            buildargs={k: v for k, v in given.items() if k in declared or k.upper() in PROXIES},
            network_mode=None if options.network else "none",
            nocache=not options.cached,
            rm=True,
            forcerm=True,
            decode=True,
        )
        error = ""
        for said in stream:
            watcher.feed(str(said.get("stream") or "").encode())
            error = str(said.get("error") or error)
        watcher.finish()
        if error:
            raise watcher.build_error(f"Docker says: {error}")


class _ClassicLogParser(BuildLogParser):
    """Follows what the daemon tells of its steps, which are counted through the whole file."""

    def parse_step(self, line: str) -> bool:
        """Tell whether a line begins a step."""
        step = _STEP.match(line)
        if step is not None:
            steps, number = _numbered_steps(self.plan), int(step[1])
            self.at = steps[number - 1] if 0 < number <= len(steps) else None
            self.lines = []
            return True
        # The names of what is between two steps.
        return line.startswith((" ---> ", "Removing intermediate container "))


def _numbered_steps(plan: DockerfilePlan) -> list[Instruction]:
    """Return the instructions as they stand in the Dockerfile that the daemon gets."""
    every = plan.dockerfile.instructions
    first = next(n for n, i in enumerate(every) if i.keyword == "FROM")
    steps = [*every[:first]]
    needed = {stage.number for stage in plan.needed_stages()}
    for stage in plan.stages:
        steps.append(stage.start)
        steps += stage.instructions if stage.number in needed else ()
    return steps


def _check_supported(plan: DockerfilePlan) -> None:
    """Refuse what the classic builder does not know, with the line and what does."""
    for stage in plan.needed_stages():
        for instruction in stage.instructions:
            if instruction.heredocs:
                what, word = "texts in the Dockerfile (<<)", "<<"
            else:
                beyond = sorted(_BUILDKIT_FLAGS & instruction.flags.keys())
                if not beyond or instruction.keyword not in ("RUN", "COPY", "ADD"):
                    continue
                what, word = f"{instruction.keyword} --{beyond[0]}", f"--{beyond[0]}"
            raise instruction.error(
                f"Docker's classic builder does not know {what}",
                "install buildah, or docker-buildx for BuildKit",
                word=word,
            )


@contextmanager
def _docker_client() -> Iterator[DockerClient]:
    """Give the daemon; what goes wrong on the way to it is told."""
    import docker  # noqa: PLC0415
    import requests  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=_SECONDS)
        try:
            yield client
        finally:
            client.close()
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise HostError.of(
            host.TOOL_FAILED,
            f"the Docker daemon does not build: {daemon_root_cause(error)}",
            "see whether `docker info` works",
        ) from None


def daemon_responds() -> bool:
    """Tell whether there is a daemon to build with."""
    import docker  # noqa: PLC0415
    import requests  # noqa: PLC0415

    with suppress(docker.errors.DockerException, requests.RequestException):
        client = docker.from_env(timeout=5)
        try:
            return bool(client.ping())
        finally:
            client.close()
    return False


def _pack_context(inputs: BuildInputs, dockerfile: str) -> Path:
    """Write the context as a tar, with the Dockerfile, and a list that keeps it out of COPY."""
    work = inputs.workspace
    directory, packed = work / "context", work / "context.tar"
    with wrap_os_errors(work):
        directory.mkdir()
        inputs.context.write(directory)
        (directory / _DOCKERFILE).write_text(dockerfile, "utf-8")
        ignored = directory / _IGNORE
        kept = ignored.read_bytes() + b"\n" if ignored.exists() else f"{_IGNORE}\n".encode()
        ignored.write_bytes(kept + _DOCKERFILE.encode() + b"\n")
        with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(directory, "", filter=_as_root)
    return packed


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _import_image(
    client: DockerClient, store: Store, tag: str, plan: DockerfilePlan, inputs: BuildInputs
) -> WrittenImage:
    """Put what was made into the store: new layers compressed here, others as they are."""
    saved = inputs.workspace / "made.tar"
    with wrap_os_errors(saved):
        with saved.open("xb") as out:
            for chunk in client.images.get(tag).save(_CHUNK):
                out.write(chunk)
        try:
            with tarfile.open(saved) as tar:
                (item,) = _read_json(tar, "manifest.json")
                config = _read_json(tar, item["Config"])
                layers = _import_layers(store, tar, item, config, base_layers(store, inputs))
            return add_built_image(store, plan, inputs, layers, config)
        except (tarfile.TarError, MalformedTarError, KeyError, TypeError, ValueError) as error:
            raise HostError.of(
                host.TOOL_FAILED, f"what Docker has made cannot be used: {error}"
            ) from error


def _import_layers(
    store: Store, tar: tarfile.TarFile, item: _Json, config: _Json, known: dict[str, WrittenLayer]
) -> list[WrittenLayer]:
    found = []
    for path, diff_id in zip(item["Layers"], config["rootfs"]["diff_ids"], strict=True):
        if diff_id not in known:
            with _open_member(tar, path) as file:
                size = tar.getmember(path).size
                known[diff_id] = add_layer(store, decompress_layer(file, size, LayerLimits()))
            if known[diff_id].diff_id != diff_id:
                raise ValueError(f"{path} is not the layer that its config speaks of")
        found.append(known[diff_id])
    return found


def _read_json(tar: tarfile.TarFile, path: str) -> Any:  # noqa: ANN401 - whatever JSON can be
    with _open_member(tar, path) as file:
        return json.loads(file.read(_LARGEST_DOCUMENT))


def _open_member(tar: tarfile.TarFile, path: str) -> IO[bytes]:
    file = tar.extractfile(path)
    if file is None:
        raise ValueError(f"{path} is no file")
    return file
