"""The inputs of a package's image: what they are now, and what they were when it was built.

The tag contains only the tree hash. Base images, build arguments and the lock are inputs, too; they
are recorded on each image.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.debian import LOCK_FILE
from assembler.dockerfile import dockerfile_inputs
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import NullReporter
from assembler.oci import (
    Image,
    changed_inputs,
    host_platform,
    look_up_image,
    read_recorded_inputs,
)
from assembler.packages.build_arguments import toolchain_reference
from assembler.packages.jobs import NO_TREE_HASH, package_jobs, plan_job
from assembler.packages.package_reader import read_packages
from assembler.packages.tags import is_lasting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci import Platform, Store
    from assembler.packages.jobs import PackageJob
    from assembler.packages.options import PackageBuildOptions


@dataclass(frozen=True, slots=True)
class InputComparison:
    """The inputs of an image for one platform, compared to those of the image in the store."""

    name: str
    platform: Platform
    current: dict[str, str]
    # Of the image in the store; None if it was not built.
    recorded: dict[str, str] | None
    changed: tuple[str, ...]
    # Its name contains a hash; all other images are built each time.
    lasting: bool

    def as_json(self) -> dict[str, Any]:
        """Return the comparison for scripts."""
        return {
            "name": self.name,
            "platform": str(self.platform),
            "inputs": self.current,
            "built": self.recorded,
            "changed": list(self.changed),
        }


def compare_package_inputs(
    directories: Sequence[Path], options: PackageBuildOptions, reporter: Reporter | None = None
) -> Iterator[InputComparison]:
    """Yield the inputs of each package and platform."""
    store = options.sources.open_store()
    packages = read_packages(directories, options.build_file)
    for unplanned in package_jobs(packages, options, reporter or NullReporter()).values():
        job = plan_job(unplanned)
        for platform in job.platforms:
            yield compare_inputs(store, job, platform)


def compare_inputs(store: Store, job: PackageJob, platform: Platform) -> InputComparison:
    """Compare the inputs of an image to those of the image in the store."""
    current = current_inputs(store, job, platform)
    image = _stored_image(store, job, platform)
    recorded = None if image is None else read_recorded_inputs(image)
    changed = () if recorded is None else changed_inputs(recorded, current)
    return InputComparison(
        str(job.name), platform, current, recorded, changed, is_lasting(job.name)
    )


def changes_since_build(
    store: Store, job: PackageJob, platform: Platform
) -> tuple[str, ...] | None:
    """Return the inputs that have changed; None if the image has to be built in any case."""
    if job.options.force or not is_lasting(job.name):
        return None
    image = _stored_image(store, job, platform)
    if image is None:
        return None
    recorded = read_recorded_inputs(image)
    if recorded is None:
        return ()  # the image of another tool, or of an old version
    try:
        return changed_inputs(recorded, current_inputs(store, job, platform))
    except PackageError:
        return ()  # it cannot be built now, so the old image stays


def current_inputs(store: Store, job: PackageJob, platform: Platform) -> dict[str, str]:
    """Return the inputs of a package's image as they are now, by name; the job is planned."""
    package = job.package
    if package.build.debs is None:
        return dockerfile_inputs(store, job.dockerfile_build(platform))
    lock = package.directory / LOCK_FILE
    inputs = {"tree": job.name.hash or NO_TREE_HASH, "suite": package.build.debs.suite}
    for section in (package.build.go, package.build.linux):
        if section is None:
            continue
        toolchain = toolchain_reference(package, section, job.options.naming)
        image = look_up_image(store, toolchain, host_platform())
        inputs[f"image {toolchain}"] = image.digest if isinstance(image, Image) else ""
    if lock.is_file():
        with wrap_os_errors(lock, "read"):
            inputs["lock"] = "sha256:" + hashlib.sha256(lock.read_bytes()).hexdigest()
    return inputs


def _stored_image(store: Store, job: PackageJob, platform: Platform) -> Image | None:
    found = look_up_image(store, job.name.reference(), platform)
    is_right = isinstance(found, Image) and found.config.platform == platform
    return found if isinstance(found, Image) and is_right else None
