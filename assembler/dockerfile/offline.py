"""Builds without network: what builders fetch by themselves, which nothing here can prevent."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile.syntax import leading_directives
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.dockerfile.options import DockerfileOptions
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction

_REMOTE = re.compile(r"(?:https?|git|ssh)://|git@")
_HINT = "build once without --offline: the image stays in the store"


def check_remote_sources(plan: DockerfilePlan) -> None:
    """Refuse ADD of a URL."""
    for instruction in _needed(plan, "ADD"):
        for source in instruction.words[:-1]:
            if _REMOTE.match(source):
                raise _refusal(f"--offline forbids ADD of {source}", instruction, source)


def check_daemon_build(plan: DockerfilePlan, options: DockerfileOptions) -> None:
    """Refuse what the builder of a daemon would fetch, beyond the reach of this process."""
    check_remote_sources(plan)
    for instruction in _needed(plan, "ADD"):
        for source in instruction.words[:-1]:
            if "$" in source:
                message = f"--offline forbids ADD of {source}, which may be a URL"
                raise _refusal(message, instruction, source)
    for instruction in _needed(plan, "RUN"):
        network = instruction.flags.get("network", "none")
        if network != "none":
            message = f"--offline forbids RUN --network={network}"
            raise _refusal(message, instruction, f"--network={network}")
    if "syntax" in leading_directives(plan.dockerfile.source.text.splitlines()):
        raise offline_refusal("--offline forbids `# syntax=`: BuildKit pulls the image of it")
    if options.scanner is not None:
        raise offline_refusal("--offline forbids --sbom-scanner: BuildKit pulls its image")


def check_daemon_address(address: str) -> None:
    """Refuse a daemon that is not reached through a Unix socket."""
    if address and not address.startswith(("unix://", "/")):
        raise offline_refusal(f"--offline forbids to use the Docker daemon at {address}")


def check_environment_daemon() -> None:
    """Refuse the daemon of the environment if it is not reached through a Unix socket."""
    check_daemon_address(os.environ.get("DOCKER_HOST", ""))


def offline_refusal(message: str) -> PackageError:
    """Return the error for something that needs the network."""
    return PackageError.of(packages.NEEDS_NETWORK, message, _HINT)


def _needed(plan: DockerfilePlan, keyword: str) -> Iterator[Instruction]:
    for stage in plan.needed_stages():
        yield from (i for i in stage.instructions if i.keyword == keyword)


def _refusal(message: str, instruction: Instruction, word: str) -> PackageError:
    return PackageError.of(packages.NEEDS_NETWORK, message, _HINT, place=instruction.place(word))
