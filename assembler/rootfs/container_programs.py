"""The program that each container starts, for the check whether its image has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.rootfs.plan import ContainerProgram

if TYPE_CHECKING:
    from assembler.rootfs.container_settings import ContainerSettings
    from assembler.rootfs.json_rendering import JsonObject

# What runc and crun search if the environment has no PATH.
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class PlannedContainer:
    """A container, its config.json, and the directory with its image's tree."""

    settings: ContainerSettings
    spec: JsonObject
    tree: str

    def program(self) -> ContainerProgram | None:
        """Return the program that the container starts, if it has a command."""
        process = self.spec["process"]
        if not process["args"] or not process["args"][0]:
            return None
        variables = dict(text.partition("=")[::2] for text in process.get("env", ()))
        container = self.settings.container
        return ContainerProgram(
            self.settings.name,
            str(self.settings.image.reference),
            f"{self.tree}/",
            process["args"][0],
            tuple((variables.get("PATH") or _DEFAULT_PATH).split(":")),
            process["cwd"],
            tuple(mount["destination"] for mount in self.spec["mounts"]),
            container.positions.place_of("command" if container.command else "image"),
        )
