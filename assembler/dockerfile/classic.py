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
from assembler.dockerfile.emulation import check_runnable
from assembler.dockerfile.rewriting import rewritten
from assembler.dockerfile.stages import PROXIES
from assembler.dockerfile.taking import finished, known_layers
from assembler.dockerfile.watching import Watcher
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
    from assembler.dockerfile.stages import Plan
    from assembler.dockerfile.syntax import Instruction
    from assembler.dockerfile.terms import Terms
    from assembler.events import Reporter
    from assembler.oci import Image, Store

_DOCKERFILE, _IGNORE = ".dolmen.Dockerfile", ".dockerignore"
# Of RUN and COPY, what only BuildKit knows.
_BEYOND = frozenset({"mount", "network", "security", "link", "chmod", "parents", "exclude"})
_SECONDS = 6 * 3600
_CHUNK = 1 << 20
_LARGEST_DOCUMENT = 16 << 20
_Json = dict[str, Any]
_STEP = re.compile(r"Step (\d+)/\d+ : ")


@dataclass(frozen=True, slots=True)
class Classic:
    """The builder of the Docker daemon that the environment leads to."""

    reporter: Reporter

    @property
    def name(self) -> str:
        """Return its name; versions differ from machine to machine."""
        return "docker"

    def build(
        self, store: Store, plan: Plan, ingredients: BuildInputs, terms: Terms
    ) -> WrittenImage:
        """Make the image of the last stage, and put it into the store."""
        check_runnable(plan)
        _check_known(plan)
        if terms.ssh:
            raise HostError.of(
                host.TOOL_MISSING,
                "Docker's classic builder has no --ssh",
                "install buildah, or docker-buildx for BuildKit",
            )
        self._warn()
        work = ingredients.workspace
        tag = f"dolmen-made-{work.name.lower().replace('_', '-u-')}x"
        with _speaking() as client:
            names = {
                key: self._load(client, store, image, work)
                for key, image in ingredients.bases.images.items()
            }
            context = _context(ingredients, rewritten(plan, names, platforms=False))
            watcher = _Watcher(plan, self.reporter, terms.network)
            try:
                with context.open("rb") as file:
                    self._run(client, file, tag, watcher, terms)
                with task(self.reporter, "take the image of Docker") as progress:
                    progress.outcome = "taken"
                    return _taken(client, store, tag, plan, ingredients)
            finally:
                with suppress(Exception):
                    client.images.remove(tag, force=True)

    def intended(self, plan: Plan, terms: Terms) -> tuple[str, ...]:
        """Return nothing: the daemon is spoken to without a program."""
        _ = plan, terms
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
        self, client: DockerClient, context: IO[bytes], tag: str, watcher: _Watcher, terms: Terms
    ) -> None:
        plan = watcher.plan
        declared = plan.declared()
        given = {**plan.arguments.platforms, **plan.arguments.given}
        stream = client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=_DOCKERFILE,
            tag=tag,
            buildargs={k: v for k, v in given.items() if k in declared or k.upper() in PROXIES},
            network_mode=None if terms.network else "none",
            nocache=not terms.cached,
            rm=True,
            forcerm=True,
            decode=True,
        )
        error = ""
        for said in stream:
            watcher.take(str(said.get("stream") or "").encode())
            error = str(said.get("error") or error)
        watcher.finish()
        if error:
            raise watcher.failed(f"Docker says: {error}")


class _Watcher(Watcher):
    """Follows what the daemon tells of its steps, which are counted through the whole file."""

    def tells_step(self, line: str) -> bool:
        """Tell whether a line begins a step."""
        step = _STEP.match(line)
        if step is not None:
            steps, number = _steps(self.plan), int(step[1])
            self.at = steps[number - 1] if 0 < number <= len(steps) else None
            self.lines = []
            return True
        # The names of what is between two steps.
        return line.startswith((" ---> ", "Removing intermediate container "))


def _steps(plan: Plan) -> list[Instruction]:
    """Return the instructions as they stand in the Dockerfile that the daemon gets."""
    every = plan.dockerfile.instructions
    first = next(n for n, i in enumerate(every) if i.keyword == "FROM")
    steps = [*every[:first]]
    needed = {stage.number for stage in plan.needed()}
    for stage in plan.stages:
        steps.append(stage.start)
        steps += stage.instructions if stage.number in needed else ()
    return steps


def _check_known(plan: Plan) -> None:
    """Refuse what the classic builder does not know, with the line and what does."""
    for stage in plan.needed():
        for instruction in stage.instructions:
            if instruction.heredocs:
                what, word = "texts in the Dockerfile (<<)", "<<"
            else:
                beyond = sorted(_BEYOND & instruction.flags.keys())
                if not beyond or instruction.keyword not in ("RUN", "COPY", "ADD"):
                    continue
                what, word = f"{instruction.keyword} --{beyond[0]}", f"--{beyond[0]}"
            raise instruction.wrong(
                f"Docker's classic builder does not know {what}",
                "install buildah, or docker-buildx for BuildKit",
                word=word,
            )


@contextmanager
def _speaking() -> Iterator[DockerClient]:
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


def answers() -> bool:
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


def _context(ingredients: BuildInputs, dockerfile: str) -> Path:
    """Write the context as a tar, with the Dockerfile, and a list that keeps it out of COPY."""
    work = ingredients.workspace
    directory, packed = work / "context", work / "context.tar"
    with wrap_os_errors(work):
        directory.mkdir()
        ingredients.context.write(directory)
        (directory / _DOCKERFILE).write_text(dockerfile, "utf-8")
        ignored = directory / _IGNORE
        kept = ignored.read_bytes() + b"\n" if ignored.exists() else f"{_IGNORE}\n".encode()
        ignored.write_bytes(kept + _DOCKERFILE.encode() + b"\n")
        with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(directory, "", filter=_of_root)
    return packed


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _taken(
    client: DockerClient, store: Store, tag: str, plan: Plan, ingredients: BuildInputs
) -> WrittenImage:
    """Put what was made into the store: new layers compressed here, others as they are."""
    saved = ingredients.workspace / "made.tar"
    with wrap_os_errors(saved):
        with saved.open("xb") as out:
            for chunk in client.images.get(tag).save(_CHUNK):
                out.write(chunk)
        try:
            with tarfile.open(saved) as tar:
                (item,) = _document(tar, "manifest.json")
                config = _document(tar, item["Config"])
                layers = _layers(store, tar, item, config, known_layers(store, ingredients))
            return finished(store, plan, ingredients, layers, config)
        except (tarfile.TarError, MalformedTarError, KeyError, TypeError, ValueError) as error:
            raise HostError.of(
                host.TOOL_FAILED, f"what Docker has made cannot be used: {error}"
            ) from error


def _layers(
    store: Store, tar: tarfile.TarFile, item: _Json, config: _Json, known: dict[str, WrittenLayer]
) -> list[WrittenLayer]:
    found = []
    for path, diff_id in zip(item["Layers"], config["rootfs"]["diff_ids"], strict=True):
        if diff_id not in known:
            with _member(tar, path) as file:
                size = tar.getmember(path).size
                known[diff_id] = add_layer(store, decompress_layer(file, size, LayerLimits()))
            if known[diff_id].diff_id != diff_id:
                raise ValueError(f"{path} is not the layer that its config speaks of")
        found.append(known[diff_id])
    return found


def _document(tar: tarfile.TarFile, path: str) -> Any:  # noqa: ANN401 - whatever JSON can be
    with _member(tar, path) as file:
        return json.loads(file.read(_LARGEST_DOCUMENT))


def _member(tar: tarfile.TarFile, path: str) -> IO[bytes]:
    file = tar.extractfile(path)
    if file is None:
        raise ValueError(f"{path} is no file")
    return file
