"""Builds by BuildKit, through `docker buildx`: here, or on a machine with a Docker context.

BuildKit gets the base images as named contexts, which are OCI layouts of the store's blobs. Its
result is an OCI archive, which is checked as strictly as any other.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.codes import host
from assembler.dockerfile.base_images import write_layout
from assembler.dockerfile.build_log import BuildLogParser
from assembler.dockerfile.builder_dockerfile import rewrite_for_builder
from assembler.dockerfile.buildx import Buildx, docker_environment
from assembler.dockerfile.built_image import add_built_image
from assembler.dockerfile.offline import check_daemon_build
from assembler.dockerfile.stages import PROXIES
from assembler.errors import HostError, ImageError, wrap_os_errors
from assembler.events import task
from assembler.oci import (
    INDEX_FILE,
    ArchiveContents,
    ArchiveStream,
    Descriptor,
    Index,
    Manifest,
    WrittenImage,
    WrittenLayer,
    add_attestation,
    digest_hex,
    parse_manifest,
    read_archive,
)
from assembler.tools import ProcessLimits, StallLimits, run_program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.options import DockerfileOptions
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.events import Reporter
    from assembler.oci import Store

# The work is done by a daemon: this program may be silent for as long as one RUN.
_LIMITS = ProcessLimits(seconds=6 * 3600.0, output=1 << 30, stall=StallLimits(seconds=3600.0))
_LINE = re.compile(r"Dockerfile:(\d+)")


@dataclass(frozen=True, slots=True)
class BuildKit:
    """BuildKit, through `docker buildx`."""

    buildx: Buildx
    reporter: Reporter

    @property
    def name(self) -> str:
        """Return its name; its version differs between machines."""
        return "buildkit"

    def build(
        self, store: Store, plan: DockerfilePlan, inputs: BuildInputs, options: DockerfileOptions
    ) -> WrittenImage:
        """Build the image of the last stage, and put it into the store."""
        if options.offline:
            check_daemon_build(plan, options)
        work = inputs.workspace
        names = {
            key: write_layout(store, image, work).name
            for key, image in inputs.base_images.images.items()
        }
        paths = _BuildKitPaths(work / "Dockerfile", work / "context", work / "out.tar")
        with wrap_os_errors(work):
            paths.context.mkdir()
            paths.dockerfile.write_text(rewrite_for_builder(plan, names), "utf-8")
        inputs.context.write(paths.context)
        bases = {
            names[key]: f"oci-layout://{work / names[key]}@{image.digest}"
            for key, image in inputs.base_images.images.items()
        }
        builder = self.buildx.builder_for(plan.arguments.target)
        command = self.command(plan, paths, bases, options, builder)
        log = _BuildKitLogParser(plan, self.reporter, options.no_network_hint)
        variables = docker_environment() | {"SOURCE_DATE_EPOCH": str(inputs.time)}
        result = run_program(command, variables, limits=_LIMITS, on_output=log.feed)
        log.finish()
        if result.status:
            raise log.build_error(writes=(work,))
        return self._import_image(store, paths.out, plan, inputs)

    def planned_commands(self, plan: DockerfilePlan, options: DockerfileOptions) -> tuple[str, ...]:
        """Return the command of the build, with short names instead of temporary paths."""
        paths = _BuildKitPaths(Path("Dockerfile"), Path("CONTEXT"), Path("OUT"))
        bases = {
            f"dolmen-base-{n}": f"oci-layout://{name}" for n, (name, _) in enumerate(plan.images())
        }
        builder = self.buildx.options.builder(plan.arguments.target)
        return (shlex.join(self.command(plan, paths, bases, options, builder)),)

    def command(
        self,
        plan: DockerfilePlan,
        paths: _BuildKitPaths,
        bases: Mapping[str, str],
        options: DockerfileOptions,
        builder: str,
    ) -> list[str]:
        """Return the command of the build."""
        target = plan.arguments.target
        words = [
            *self.buildx.docker_command(target),
            *("buildx", "build", "--builder", builder, "--progress", "plain"),
            *("--platform", str(target), "--file", str(paths.dockerfile)),
            # Its provenance is not reproducible.
            "--provenance=false",
            _sbom_option(options.scanner),
            *("--network", "default" if options.run_network else "none"),
            *("--output", f"type=oci,dest={paths.out},rewrite-timestamp=true"),
            *([] if options.cached else ["--no-cache"]),
            *(word for agent in options.ssh for word in ("--ssh", agent)),
        ]
        declared = plan.declared_arguments()
        for name, value in sorted(plan.arguments.given.items()):
            if name in declared or name.upper() in PROXIES:
                words += ["--build-arg", f"{name}={value}"]
        for name, where in sorted(bases.items()):
            words += ["--build-context", f"{name}={where}"]
        return [*words, str(paths.context)]

    def _import_image(
        self, store: Store, out: Path, plan: DockerfilePlan, inputs: BuildInputs
    ) -> WrittenImage:
        """Import the image that BuildKit has built, with its SBOMs."""
        try:
            with (
                wrap_os_errors(out, "read"),
                out.open("rb") as file,
                task(self.reporter, "import BuildKit's image", out.stat().st_size) as progress,
            ):
                contents = read_archive(store, ArchiveStream(file, progress), set())
            index = parse_manifest(contents.document(INDEX_FILE, store), INDEX_FILE)
            if isinstance(index, Index) and index.manifests[0].is_index:
                index = parse_manifest(
                    _read_blob(store, contents, index.manifests[0].digest), INDEX_FILE
                )
            if not isinstance(index, Index):
                raise _result_error("it has no index")
            top = next(d for d in index.manifests if not d.attested_digest)
            manifest = parse_manifest(_read_blob(store, contents, top.digest), "the manifest")
            if not isinstance(manifest, Manifest):
                raise _result_error("it is not a single image")
            documents = _scanner_documents(store, contents, index, top)
            config: dict[str, Any] = json.loads(_read_blob(store, contents, manifest.config.digest))
            ids = config["rootfs"]["diff_ids"]
            pairs = zip(manifest.layers, ids, strict=True)
            layers = [WrittenLayer(descriptor, str(diff_id)) for descriptor, diff_id in pairs]
        except (ImageError, KeyError, IndexError, ValueError, StopIteration) as error:
            raise _result_error(str(error)) from error
        missing = [layer.descriptor.digest for layer in layers if not store.has(layer.descriptor)]
        if missing:
            raise _result_error(f"it lacks the layer {missing[0]}")
        image = add_built_image(store, plan, inputs, layers, config)
        return replace(
            image,
            attestations=tuple(
                add_attestation(store, inputs.name, image.descriptor, kind, predicate)
                for kind, predicate in documents
            ),
        )


def _scanner_documents(
    store: Store, contents: ArchiveContents, index: Index, top: Descriptor
) -> list[tuple[str, Any]]:
    """Return the documents of a scanner: the predicate type and the predicate of each."""
    found = []
    for attestation in index.manifests:
        if attestation.attested_digest != top.digest:
            continue
        manifest = parse_manifest(
            _read_blob(store, contents, attestation.digest), "the attestation"
        )
        for layer in manifest.layers if isinstance(manifest, Manifest) else ():
            statement = json.loads(_read_blob(store, contents, layer.digest))
            found.append((str(statement["predicateType"]), statement["predicate"]))
    return found


def _read_blob(store: Store, contents: ArchiveContents, digest: str) -> bytes:
    path = f"blobs/sha256/{digest_hex(digest)}"
    descriptor = contents.blob(path)
    return store.read(Descriptor("", digest, descriptor.size))


@dataclass(frozen=True, slots=True)
class _BuildKitPaths:
    """The files of a build, and of its result."""

    dockerfile: Path
    context: Path
    out: Path


def _sbom_option(scanner: str | None) -> str:
    """Return the option for a scanner: an image, BuildKit's own if empty, none if None."""
    if scanner is None:
        return "--sbom=false"
    return "--attest=type=sbom" + (f",generator={scanner}" if scanner else "")


class _BuildKitLogParser(BuildLogParser):
    """Parses the output of BuildKit."""

    def parse_step(self, line: str) -> bool:
        """Tell whether a line names the line that failed; the numbers are the user's."""
        found = _LINE.fullmatch(line)
        if found is not None:
            instructions, number = self.plan.dockerfile.instructions, int(found[1])
            failed = (i for i in instructions if i.line <= number <= i.last_line)
            self.instruction = next(failed, None)
        return found is not None


def _result_error(why: str) -> HostError:
    return HostError.of(host.TOOL_FAILED, f"invalid image from BuildKit: {why}")
