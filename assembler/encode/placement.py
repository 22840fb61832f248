"""The place of each entry: paths through symbolic links of earlier parts are followed.

All formats get the parts after this step, so an entry is at the same place in each. A kernel and
most programs would follow the links themselves, but GNU tar makes links that lead upwards last, and
filesystem writers have no links to follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.codes import rootfs as codes
from assembler.diagnostics import Diagnostic, Severity
from assembler.encode.tree_paths import (
    BlockedPathError,
    Link,
    SegmentPaths,
    TreePaths,
    follow,
    shown,
)
from assembler.errors import PlanError
from assembler.rootfs import (
    ArchiveTree,
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageTree,
    Origin,
    Part,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from assembler.diagnostics import Place
    from assembler.encode.segment_cache import Segment

    SegmentOf = Callable[[ImageTree | ArchiveTree], Segment]

_HINT = "a path of `files` leads through directories, and through links to directories"


@dataclass(frozen=True, slots=True)
class Placement:
    """The parts at their places, all paths, and what is doubtful."""

    parts: tuple[Part, ...]
    paths: TreePaths
    warnings: tuple[Diagnostic, ...]


def place_parts(parts: Iterable[Part], segment_of: SegmentOf) -> Placement:
    """Follow the links in the paths of all parts; raise PlanError for paths that lead nowhere."""
    placer = _Placer(segment_of)
    placed = [new for part in parts for new in placer.place(part)]
    if placer.problems:
        raise PlanError(placer.problems)
    for part, paths in placer.root_trees:
        links = sorted(path for path in paths.links if placer.is_replaced(path, paths))
        if links:
            placed[placed.index(part)] = replace(part, replaced_links=tuple(links))
    return Placement(tuple(placed), placer.paths, tuple(placer.warnings))


class _Placer:
    """Places part after part."""

    def __init__(self, segment_of: SegmentOf) -> None:
        self.paths = TreePaths()
        self.problems: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self.root_trees: list[tuple[ImageTree, SegmentPaths]] = []
        self._segment_of = segment_of

    def place(self, part: Part) -> Iterator[Part]:
        if isinstance(part, GeneratedPart):
            yield self._generated(part)
        elif isinstance(part, ImageTree) and not part.prefix:
            yield from self._root_tree(part)
        else:
            if isinstance(part, ImageTree):
                self._check_prefix(part)
            if isinstance(part, ImageTree | ArchiveTree):
                self.paths.add_segment(self._paths_of(part))
            yield part

    def _paths_of(self, part: ImageTree | ArchiveTree) -> SegmentPaths:
        prefix = part.prefix if isinstance(part, ImageTree) else ""
        return SegmentPaths(prefix, self._segment_of(part))

    def _check_prefix(self, part: ImageTree) -> None:
        """Refuse links and files of init images in the path of a container or volume."""
        path = part.prefix.rstrip("/")
        try:
            moved = self.paths.directory(path.encode()) != path.encode()
            why = "an image of init has a link in its path"
        except BlockedPathError as error:
            moved, why = True, str(error)
        if moved:
            hint = "remove it from the image of init: Dolmen lays containers and volumes out there"
            self._refuse(f"{path} has no place: {why}", part.origin.place, hint)

    def is_replaced(self, path: bytes, paths: SegmentPaths) -> bool:
        """Tell whether an entry replaces a link that GNU tar may make last.

        It makes links that lead upwards or to absolute paths after everything else, and may then
        take what replaced the link for its own placeholder: the number of the inode can be the
        same. So the link must not be in the archive. Files of images over links of images stay as
        in LinuxKit's archives.
        """
        target = paths.links[path]
        if target[:1] != b"/" and b".." not in target.split(b"/"):
            return False
        kind, is_generated = self.paths.last(path)
        is_other = kind is not None and kind != Link(target)
        return is_other and (is_generated or kind is EntryKind.DIRECTORY)

    # Generated entries

    def _generated(self, part: GeneratedPart) -> GeneratedPart:
        entries: list[GeneratedEntry] = []
        is_moved = False
        for entry in part.entries:
            try:
                found = list(self._entry(entry, part.origin))
            except BlockedPathError as error:
                self._refuse(f"{entry.path} has no place: {error}", part.origin.place, _HINT)
                break
            is_moved |= found != [entry]
            entries += found
            for one in found:
                self.paths.add_entry(one)
        return replace(part, entries=tuple(entries)) if is_moved else part

    def _entry(self, entry: GeneratedEntry, origin: Origin) -> Iterator[GeneratedEntry]:
        """Yield an entry at its place, after the directories that are missing there."""
        path = entry.path.encode("utf-8", "surrogateescape")
        if entry.implied:
            real = self.paths.directory(path)
            if real == path:
                yield entry
            else:
                yield from self._directories(real, entry)
            return
        parent, _, name = path.rpartition(b"/")
        real_parent = self.paths.directory(parent) if parent else b""
        real = real_parent + b"/" + name if real_parent else name
        if real != path:
            yield from self._directories(real_parent, entry)
            entry = replace(entry, path=real.decode("utf-8", "surrogateescape"))
        self._check_replaced(real, entry, origin)
        yield entry

    def _directories(self, path: bytes, entry: GeneratedEntry) -> Iterator[GeneratedEntry]:
        """Yield a directory and its parents, for the entry in it."""
        words = path.decode("utf-8", "surrogateescape").split("/") if path else []
        for count in range(1, len(words) + 1):
            yield entry.parent_directory("/".join(words[:count]))

    def _check_replaced(self, path: bytes, entry: GeneratedEntry, origin: Origin) -> None:
        """Refuse to replace a directory that is not empty, and warn about a replaced link."""
        kind = self.paths.kind(path, with_files=False)
        if isinstance(kind, Link) and entry.kind is EntryKind.DIRECTORY:
            self._warn_about_link(path, kind, origin.place)
        elif (
            kind is EntryKind.DIRECTORY
            and entry.kind is not EntryKind.DIRECTORY
            and self.paths.has_below(path)
        ):
            what = "link" if entry.kind is EntryKind.SYMLINK else "file"
            self._refuse(
                f"{entry.path} is a directory that is not empty: no {what} can replace it",
                origin.place,
                "choose another path, or an image without this directory",
            )

    def _warn_about_link(self, path: bytes, link: Link, place: Place | None) -> None:
        try:
            leads_to = shown(follow(path, self.paths.kind)) or "/"
        except BlockedPathError:
            return
        self.warnings.append(
            Diagnostic(
                codes.REPLACED_LINK,
                f"the directory {shown(path)} replaces a link to {shown(link.target)}",
                place,
                (f"for the directory that it leads to, write path: {leads_to}",),
                severity=Severity.WARNING,
            )
        )

    def _refuse(self, message: str, place: Place | None, *hints: str) -> None:
        self.problems.append(Diagnostic(codes.BLOCKED_PATH, message, place, hints))

    # Images of init

    def _root_tree(self, part: ImageTree) -> Iterator[Part]:
        """Yield the tree; one whose entries lead through links of earlier trees is redirected."""
        own = self._paths_of(part)
        crossed: dict[bytes, bytes] = {}
        made: list[GeneratedEntry] = []
        try:
            for directory in own.inventory.late_directories:
                made += self._cross(directory, own, crossed)
        except BlockedPathError as error:
            self._refuse(
                f"{part.image.reference} has no place: {error}",
                part.origin.place,
                "an earlier image of init has it; change the order, or one of the images",
            )
        if made:
            unique = tuple(dict.fromkeys(made))
            yield GeneratedPart(part.origin, unique)
        if crossed:
            part = replace(part, redirects=tuple(sorted(crossed.items())))
        self.paths.add_segment(own)
        self.root_trees.append((part, own))
        yield part

    def _cross(
        self, directory: bytes, own: SegmentPaths, crossed: dict[bytes, bytes]
    ) -> Iterator[GeneratedEntry]:
        """Decide about a directory whose content comes before it, or that has no entry.

        If the image has the directory, it replaces the link of an earlier image, as in a layer of
        an image; it is made first then. Otherwise the link is followed.
        """
        words = directory.split(b"/")
        for count in range(1, len(words) + 1):
            path = b"/".join(words[:count])
            if isinstance(self.paths.kind(path, with_files=False), Link):
                if path in own.directories:
                    yield GeneratedEntry(path.decode(), EntryKind.DIRECTORY, 0o755)
                else:
                    follow(directory, self.paths.kind, crossed)
                return
