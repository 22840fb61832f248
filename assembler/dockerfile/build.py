"""The build of an image from a package's Dockerfile, for one platform."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.dockerfile.base_images import fetch_base_images, stored_base_images
from assembler.dockerfile.build_inputs import BuildInputs
from assembler.dockerfile.builders import BUILDKIT, Builders
from assembler.dockerfile.docker_images import docker_image_archives
from assembler.dockerfile.image_sbom import attach_sbom
from assembler.dockerfile.in_process_build import build_in_process
from assembler.dockerfile.offline import check_remote_sources
from assembler.dockerfile.options import DockerfileOptions
from assembler.dockerfile.package_context import read_package_context
from assembler.dockerfile.workspace import open_workspace
from assembler.events import LogMessage
from assembler.oci import BUILDER_INPUT, INPUTS_ANNOTATION, ImageSources, inputs_annotation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.config import Package
    from assembler.dockerfile.base_images import BaseImages
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.events import Reporter
    from assembler.oci import Platform, Store, WrittenImage

_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"
_IN_PROCESS = "in process"


@dataclass(frozen=True, slots=True)
class DockerfileBuild:
    """The build of an image: the Dockerfile, planned for a platform, and everything given to it."""

    package: Package
    # The path of the Dockerfile in the package.
    dockerfile: str
    plan: DockerfilePlan
    # The inputs that the caller knows: the tree hash.
    inputs: Mapping[str, str]
    labels: Mapping[str, str]
    # The time of everything created, in seconds since 1970.
    time: int
    # The name of the image, for its SBOM.
    name: str
    options: DockerfileOptions = field(default_factory=DockerfileOptions)

    @property
    def platform(self) -> Platform:
        """Return the platform that the image is for."""
        return self.plan.arguments.target


def build_image(
    store: Store,
    build: DockerfileBuild,
    sources: ImageSources,
    builders: Builders,
    reporter: Reporter,
) -> WrittenImage:
    """Build the image, and put it into the store."""
    plan = build.plan
    unsupported = plan.first_unsupported()
    if build.options.offline:
        check_remote_sources(plan)
    builder = None
    if unsupported is not None:
        builder = builders.choose(plan, unsupported, offline=build.options.offline)
    if build.options.scanner is not None and (builder is None or builder.name != BUILDKIT):
        content = "the SBOM lists the packages of the image's databases"
        path = plan.dockerfile.source.name
        reporter.emit(LogMessage(f"{path}: only BuildKit runs scanners; {content}"))
    base_images = fetch_base_images(plan, sources, reporter)
    builder_name = builder.name if builder is not None else _IN_PROCESS
    recorded = _collect_inputs(build, base_images, builder_name)
    with open_workspace(store) as directory:
        context = read_package_context(build.package, build.time, build.dockerfile)
        # build.yml pins these images and is part of the tree, so they are no inputs of their own.
        archives = docker_image_archives(
            build.package, build.platform, sources, directory, reporter
        )
        for path, archive in archives:
            context.add_file(path, archive)
        inputs = BuildInputs(
            context=context,
            base_images=base_images,
            time=build.time,
            workspace=directory,
            name=build.name,
            limits=sources.layer_limits(),
            labels=build.labels,
            annotations=_annotations(plan, base_images, recorded),
        )
        if builder is None:
            image = build_in_process(store, plan, inputs)
        else:
            image = builder.build(store, plan, inputs, build.options)
    return attach_sbom(store, image, build.name, build.time, base_images.images.values())


def dockerfile_inputs(store: Store, build: DockerfileBuild) -> dict[str, str]:
    """Return the inputs of the image as they are now, by name; nothing is fetched.

    The builder is one of them if the Dockerfile needs one and the options name it.
    """
    needs_builder = build.plan.first_unsupported() is not None
    builder_name = build.options.builder if needs_builder else ""
    return _collect_inputs(build, stored_base_images(store, build.plan), builder_name)


def _collect_inputs(
    build: DockerfileBuild, base_images: BaseImages, builder_name: str
) -> dict[str, str]:
    """Return everything that the image depends on, under names for people."""
    inputs = dict(build.inputs)
    inputs |= {f"image {name}": digest for name, digest in base_images.digests().items()}
    declared = build.plan.declared_arguments()
    given = build.plan.arguments.given
    inputs |= {f"argument {k}": v for k, v in given.items() if k in declared}
    if builder_name:
        inputs[BUILDER_INPUT] = builder_name
    if build.options.network:
        inputs["network"] = "allowed"
    return inputs


def _annotations(
    plan: DockerfilePlan, base_images: BaseImages, inputs: Mapping[str, str]
) -> dict[str, str]:
    annotations = {INPUTS_ANNOTATION: inputs_annotation(inputs)}
    image = base_images.images.get((plan.target.base, plan.target.platform))
    if image is not None:
        annotations |= {_BASE_NAME: str(image.reference), _BASE_DIGEST: image.digest}
    return annotations
