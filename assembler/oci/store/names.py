"""The names of a store: an immutable view of index.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from assembler.codes import images
from assembler.errors import ImageError
from assembler.oci import media_types
from assembler.oci.manifest import Descriptor, parse_descriptor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One descriptor of index.json, with all fields that other tools have written."""

    descriptor: Descriptor
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the image: usually one, none for a nameless entry."""
        annotations = self.descriptor.annotations
        found = (
            annotations.get(k, "") for k in (media_types.CONTAINERD_NAME, media_types.REF_NAME)
        )
        return tuple(dict.fromkeys(name for name in found if name))

    @property
    def name(self) -> str:
        """Return the full name if there is one, else the short one, else nothing."""
        return self.names[0] if self.names else ""


@dataclass(frozen=True, slots=True)
class ImageNames:
    """The content of index.json."""

    # Every item of "manifests" in order; an invalid descriptor is kept unchanged, with a reason.
    items: tuple[IndexEntry | BrokenEntry, ...]
    rest: Mapping[str, Any] = field(repr=False)

    @classmethod
    def none(cls) -> Self:
        """Return the names of an empty store."""
        return cls((), {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX})

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """Read index.json, which others may have written; single bad entries are kept apart."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise _broken(path, "it is not JSON") from None
        if not isinstance(document, dict):
            raise _broken(path, "it is not a JSON object")
        items = document.get("manifests") or []
        if not isinstance(items, list):
            raise _broken(path, "manifests is not a list")
        rest = {k: v for k, v in document.items() if k != "manifests"}
        return cls(
            tuple(_item(raw, f"{path}, manifests[{i}]") for i, raw in enumerate(items)), rest
        )

    @property
    def entries(self) -> tuple[IndexEntry, ...]:
        """Return the valid entries."""
        return tuple(i for i in self.items if isinstance(i, IndexEntry))

    @property
    def broken(self) -> tuple[BrokenEntry, ...]:
        """Return the invalid entries."""
        return tuple(i for i in self.items if isinstance(i, BrokenEntry))

    def named(self, name: str) -> tuple[IndexEntry, ...]:
        """Return the entries with exactly this name; other tools may have written several."""
        return tuple(e for e in self.entries if name in e.names)

    def only(self, name: str, descriptor: Descriptor) -> bool:
        """Tell whether this blob is the only one with the name."""
        return [e.descriptor.digest for e in self.named(name)] == [descriptor.digest]

    def put(self, name: str, descriptor: Descriptor) -> ImageNames:
        """Return these names with `name` standing for `descriptor`, at its old place if it had one.

        Unknown fields of an entry with the same name and content stay.
        """
        old = self.named(name)
        same = next((e for e in old if e.descriptor.digest == descriptor.digest), None)
        raw = dict(same.raw) if same else {}
        annotations = raw.get("annotations") or dict(descriptor.annotations)
        raw |= descriptor.as_json()
        raw["annotations"] = annotations | {
            media_types.REF_NAME: name,
            media_types.CONTAINERD_NAME: name,
        }
        new = IndexEntry(replace(descriptor, annotations=raw["annotations"]), raw)
        items = list(self.items)
        place = items.index(old[0]) if old else len(items)
        items[place : place + 1] = [new]
        return replace(self, items=tuple(i for i in items if i is new or i not in old))

    def without(self, names: Collection[str]) -> ImageNames:
        """Return the names without some, which need not exist."""
        return replace(
            self,
            items=tuple(
                i for i in self.items if isinstance(i, BrokenEntry) or not set(i.names) & set(names)
            ),
        )

    def drop(self, entries: Collection[IndexEntry]) -> ImageNames:
        """Return the names without some entries."""
        gone = {id(e) for e in entries}
        return replace(self, items=tuple(i for i in self.items if id(i) not in gone))

    def repaired(self) -> ImageNames:
        """Return the names without invalid entries."""
        return replace(self, items=self.entries)

    def as_json(self) -> bytes:
        """Return the text of index.json."""
        document = dict(self.rest)
        document["manifests"] = [i.raw for i in self.items]
        return json.dumps(document, indent=2).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class BrokenEntry:
    """An item of index.json that is not a descriptor."""

    raw: Any
    reason: str


def _item(raw: object, what: str) -> IndexEntry | BrokenEntry:
    try:
        descriptor = parse_descriptor(raw, what)
    except ImageError as error:
        return BrokenEntry(raw, error.diagnostics[0].message)
    assert isinstance(raw, dict)  # noqa: S101 - nothing else is a descriptor
    return IndexEntry(descriptor, raw)


def _broken(path: str, why: str) -> ImageError:
    return ImageError.of(
        images.BROKEN_STORE,
        f"{path}: {why}",
        "`dolmen cache verify --repair` puts it aside and begins a new one",
    )
