"""Builds by the classic builder of a Docker daemon, without buildah and BuildKit.

The daemon gets the base images, under names made of their digests, and a build context with a
Dockerfile whose FROM lines have these names. Its image is imported into the store, and then loses
its name in the daemon.
"""

from __future__ import annotations

import json
import re
import tarfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from assembler.codes import host, packages
from assembler.diagnostics import Diagnostic, Severity
from assembler.dockerfile.base_images import base_image_name
from assembler.dockerfile.build_log import BuildLogParser
from assembler.dockerfile.builder_dockerfile import rewrite_for_builder
from assembler.dockerfile.built_image import add_built_image, base_layers
from assembler.dockerfile.emulation import check_runnable
from assembler.dockerfile.offline import check_daemon_build
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
    export_archive,
)
from assembler.tools import EXTRAS, require_extra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.options import DockerfileOptions
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction
    from assembler.events import Reporter
    from assembler.oci import Image, Store

_DOCKERFILE, _IGNORE = ".dolmen.Dockerfile", ".dockerignore"
# The flags of RUN, COPY and ADD that only BuildKit supports.
_BUILDKIT_FLAGS = frozenset({"mount", "network", "security", "link", "chmod", "parents", "exclude"})
_TIMEOUT = 6 * 3600
_CHUNK = 1 << 20
_MAX_DOCUMENT_SIZE = 16 << 20
_Json = dict[str, Any]
_STEP = re.compile(r"Step (\d+)/\d+ : ")


@dataclass(frozen=True, slots=True)
class ClassicBuilder:
    """The classic builder of the Docker daemon that the environment names."""

    reporter: Reporter

    @property
    def name(self) -> str:
        """Return its name; its version differs between machines."""
        return "docker"

    def build(
        self, store: Store, plan: DockerfilePlan, inputs: BuildInputs, options: DockerfileOptions
    ) -> WrittenImage:
        """Build the image of the last stage, and put it into the store."""
        check_runnable(plan)
        _check_supported(plan)
        if options.offline:
            check_daemon_build(plan, options)
        if options.ssh:
            raise HostError.of(
                host.TOOL_MISSING,
                "Docker's classic builder does not support --ssh",
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
            log = _ClassicLogParser(plan, self.reporter, options.no_network_hint)
            try:
                with context.open("rb") as file:
                    self._run(client, file, tag, log, options)
                with task(self.reporter, "import Docker's image") as progress:
                    progress.outcome = "imported"
                    return _import_image(client, store, tag, plan, inputs)
            finally:
                with suppress(Exception):
                    client.images.remove(tag, force=True)

    def planned_commands(self, plan: DockerfilePlan, options: DockerfileOptions) -> tuple[str, ...]:
        """Return nothing: the daemon is used without a program."""
        _ = plan, options
        return ()

    def _warn(self) -> None:
        self.reporter.emit(
            WarningEmitted(
                Diagnostic(
                    packages.CLASSIC_BUILDER,
                    "Docker's classic builder is used, so the image is not reproducible",
                    hints=("install buildah, or docker-buildx for BuildKit",),
                    severity=Severity.WARNING,
                )
            )
        )

    def _load(self, client: DockerClient, store: Store, image: Image, work: Path) -> str:
        """Load an image of the store into the daemon, unless it has it; return its name there."""
        import docker  # noqa: PLC0415 - slow to import, and rarely needed

        name = base_image_name(image)
        with suppress(docker.errors.ImageNotFound):
            client.images.get(name)
            return name
        archive = work / f"{name}.tar"
        options = ExportOptions(
            image.reference, ArchiveFormat.DOCKER, image.config.platform, Reference.parse(name)
        )
        with wrap_os_errors(archive), archive.open("xb") as out:
            export_archive(store, options, out, self.reporter)
        with task(self.reporter, f"load {image.reference} into Docker") as progress:
            with wrap_os_errors(archive, "read"), archive.open("rb") as file:
                client.images.load(file)
            progress.outcome = "loaded"
        archive.unlink()
        return name

    def _run(
        self,
        client: DockerClient,
        context: IO[bytes],
        tag: str,
        log: _ClassicLogParser,
        options: DockerfileOptions,
    ) -> None:
        plan = log.plan
        declared = plan.declared_arguments()
        given = {**plan.arguments.platform_arguments, **plan.arguments.given}
        stream = client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=_DOCKERFILE,
            tag=tag,
            buildargs={k: v for k, v in given.items() if k in declared or k.upper() in PROXIES},
            network_mode=None if options.run_network else "none",
            nocache=not options.cached,
            rm=True,
            forcerm=True,
            decode=True,
        )
        error = ""
        for message in stream:
            log.feed(str(message.get("stream") or "").encode())
            error = str(message.get("error") or error)
        log.finish()
        if error:
            raise log.build_error(f"Docker says: {error}")


class _ClassicLogParser(BuildLogParser):
    """Parses the output of the daemon, which numbers steps through the whole Dockerfile."""

    def parse_step(self, line: str) -> bool:
        """Tell whether a line is about steps, and set the instruction."""
        step = _STEP.match(line)
        if step is not None:
            steps, number = _numbered_steps(self.plan), int(step[1])
            self.instruction = steps[number - 1] if 0 < number <= len(steps) else None
            self.last_lines = []
            return True
        # The IDs of intermediate images and containers.
        return line.startswith((" ---> ", "Removing intermediate container "))


def _numbered_steps(plan: DockerfilePlan) -> list[Instruction]:
    """Return the instructions in the order of the Dockerfile that the daemon gets."""
    instructions = plan.dockerfile.instructions
    first = next(n for n, i in enumerate(instructions) if i.keyword == "FROM")
    steps = [*instructions[:first]]
    needed = {stage.number for stage in plan.needed_stages()}
    for stage in plan.stages:
        steps.append(stage.start)
        steps += stage.instructions if stage.number in needed else ()
    return steps


def _check_supported(plan: DockerfilePlan) -> None:
    """Refuse instructions that the classic builder does not support."""
    for stage in plan.needed_stages():
        for instruction in stage.instructions:
            if instruction.heredocs:
                what, word = "heredocs (<<)", "<<"
            else:
                unsupported = sorted(_BUILDKIT_FLAGS & instruction.flags.keys())
                if not unsupported or instruction.keyword not in ("RUN", "COPY", "ADD"):
                    continue
                what, word = f"{instruction.keyword} --{unsupported[0]}", f"--{unsupported[0]}"
            raise instruction.error(
                f"Docker's classic builder does not support {what}",
                "install buildah, or docker-buildx for BuildKit",
                word=word,
            )


@contextmanager
def _docker_client() -> Iterator[DockerClient]:
    """Connect to the daemon; its errors become diagnostics."""
    require_extra("docker")
    import docker  # noqa: PLC0415
    import requests  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=_TIMEOUT)
        try:
            yield client
        finally:
            client.close()
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise HostError.of(
            host.TOOL_FAILED,
            f"the Docker daemon failed: {daemon_root_cause(error)}",
            "check that `docker info` works",
        ) from None


def daemon_responds() -> bool:
    """Tell whether a Docker daemon responds; without its library, it is not used."""
    if not EXTRAS["docker"].installed:
        return False
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
    """Pack the build context, with the Dockerfile and a .dockerignore that hides it from COPY."""
    work = inputs.workspace
    directory, archive = work / "context", work / "context.tar"
    with wrap_os_errors(work):
        directory.mkdir()
        inputs.context.write(directory)
        (directory / _DOCKERFILE).write_text(dockerfile, "utf-8")
        ignore_file = directory / _IGNORE
        if ignore_file.exists():
            patterns = ignore_file.read_bytes() + b"\n"
        else:
            patterns = f"{_IGNORE}\n".encode()
        ignore_file.write_bytes(patterns + _DOCKERFILE.encode() + b"\n")
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(directory, "", filter=_as_root)
    return archive


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _import_image(
    client: DockerClient, store: Store, tag: str, plan: DockerfilePlan, inputs: BuildInputs
) -> WrittenImage:
    """Import the image that the daemon has built; only new layers are compressed."""
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
            raise HostError.of(host.TOOL_FAILED, f"invalid image from Docker: {error}") from error


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
                raise ValueError(f"{path} does not match its diff ID")
        found.append(known[diff_id])
    return found


def _read_json(tar: tarfile.TarFile, path: str) -> Any:  # noqa: ANN401 - any JSON value
    with _open_member(tar, path) as file:
        return json.loads(file.read(_MAX_DOCUMENT_SIZE))


def _open_member(tar: tarfile.TarFile, path: str) -> IO[bytes]:
    file = tar.extractfile(path)
    if file is None:
        raise ValueError(f"{path} is not a file")
    return file
