"""The partitions of a verified system: the table, and the slots with their hash trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.inspection import check_gpt_copy, read_gpt_entries
from assembler.media import root_hash_uuids
from assembler.verification.hash_trees import check_tree
from assembler.verification.report import FailedCheckError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.inspection import DataSource, GptEntry
    from assembler.verification.programs import SystemProgram
    from assembler.verification.report import Checks

# Types of the Discoverable Partitions Specification: root filesystems and their hash trees.
_ROOTS = {
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
    "b921b045-1df0-41c3-af44-4c6f280d3fae": "df3300ce-d69f-4c92-978c-9bfb0f38d820",
    "72ec70a6-cf74-40e6-bd49-4bda08e8f224": "b6ed5582-440b-4209-b8da-5ff7c419ea3d",
}
_FREE = "_empty"
_DISK = "disk"


@dataclass(frozen=True, slots=True)
class Slot:
    """A pair of partitions: the n-th root filesystem and the n-th hash tree."""

    name: str
    root: GptEntry
    tree: GptEntry

    @property
    def is_free(self) -> bool:
        """Tell whether nothing is in it."""
        return _FREE in (self.root.label, self.tree.label)


def check_partitions(checks: Checks, disk: DataSource) -> list[Slot]:
    """Check the partition table, and return the slots."""
    entries: tuple[GptEntry, ...] = ()
    with checks.failing(_DISK, "partition table"):
        entries = read_gpt_entries(disk)
        checks.ok(_DISK, "partition table", f"{len(entries)} partitions")
    with checks.failing(_DISK, "copy of the partition table"):
        check_gpt_copy(disk)
        checks.ok(_DISK, "copy of the partition table")
    roots = [e for e in entries if e.type in _ROOTS]
    trees = [e for e in entries if e.type in _ROOTS.values()]
    slots: list[Slot] = []
    if not roots and not trees:
        return slots
    with checks.failing(_DISK, "slots"):
        if len(roots) != len(trees) or any(
            _ROOTS[root.type] != tree.type for root, tree in zip(roots, trees, strict=True)
        ):
            raise FailedCheckError(
                f"there are {len(roots)} root filesystems and {len(trees)} hash trees, "
                "or they are for different architectures"
            )
        slots = [
            Slot(f"slot {chr(ord('A') + n)}", *pair)
            for n, pair in enumerate(zip(roots, trees, strict=True))
        ]
        free = sum(slot.is_free for slot in slots)
        checks.ok(_DISK, "slots", f"{len(slots)}, {free} free")
    return slots


def check_slots(checks: Checks, slots: Sequence[Slot], programs: Sequence[SystemProgram]) -> None:
    """Check that each program has its slot, and each slot its program and its hash tree."""
    used: set[str] = set()
    # One program may be there twice, as two entries of the boot loader.
    done: set[str] = set()
    for program in programs:
        if program.root_hash is None:
            checks.unchecked(program.part, "root filesystem", "its command line has no root hash")
            continue
        with checks.failing(program.part, "slot"):
            slot = _slot_of(slots, program.root_hash)
            used.add(slot.name)
            version = program.release.get("IMAGE_VERSION", "")
            labels = (f"root_{version}", f"hash_{version}")
            if (slot.root.label, slot.tree.label) != labels:
                raise FailedCheckError(
                    f"the partitions of {slot.name} have the labels {slot.root.label} and "
                    f"{slot.tree.label}, and the program says version {version}"
                )
            checks.ok(program.part, "slot", f"{slot.name}, version {version}")
        for slot in slots:
            if _has_root(slot, program.root_hash) and slot.name not in done:
                done.add(slot.name)
                with checks.failing(slot.name, "hash tree"):
                    checked = check_tree(slot.root.content, slot.tree.content, program.root_hash)
                    checks.ok(slot.name, "hash tree", checked)
    if slots and not used:
        checks.failed(_DISK, "system", "no program has the root hash of a slot")
    for slot in slots:
        if slot.is_free:
            checks.unchecked(slot.name, "hash tree", "it is free")
        elif slot.name not in used:
            checks.unchecked(slot.name, "hash tree", "no program has its root hash")


def _slot_of(slots: Sequence[Slot], root_hash: bytes) -> Slot:
    found = [slot for slot in slots if _has_root(slot, root_hash)]
    if len(found) != 1:
        root, tree = root_hash_uuids(root_hash)
        raise FailedCheckError(
            f"{len(found) or 'no'} slots have the partitions {root} and {tree} of its root hash"
        )
    return found[0]


def _has_root(slot: Slot, root_hash: bytes) -> bool:
    root, tree = map(str, root_hash_uuids(root_hash))
    return (slot.root.uuid, slot.tree.uuid) == (root, tree)
