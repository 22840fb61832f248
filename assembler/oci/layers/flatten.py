"""The layers of an image made into one tree, in a single pass from the top layer down.

The topmost entry of a path counts, so an entry is handed on when it is met first, and what it, a
whiteout or an opaque directory hides in lower layers is skipped when it comes.

    whiteout `.wh.NAME`   hides NAME in lower layers, never in its own
    opaque directory      hides what lower layers have in the directory
    no directory          hides what lower layers have below its path
    a path twice          in one layer: the last counts, as if the layer were unpacked

Hard links stay hard links. One whose target lies in a lower layer waits until that is handed on.
One whose target is hidden by an upper layer gets the content its layer saw, and others to the
same target become links to it.

Three things are known too late for a single pass: that a path comes again in its layer, that
hidden content is needed by a link after it, and that a directory of an upper layer is a symbolic
link below (`lib/x` over `lib -> usr/lib` means `usr/lib/x`). They are noted, and the pass is made
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol

from assembler.codes import layers as codes
from assembler.errors import LayerError
from assembler.oci.layers.fields import LONGEST_NAME, Malformed, clean
from assembler.oci.layers.inflate import Limits, inflate
from assembler.oci.layers.reader import DIRECTORY, FILE, LINK, SYMLINK, TarReader

# What is known of a path: the layer that decided it, counted from 1 (0 stands for exceptions), and
# how. GONE: a whiteout; TAKEN: an exception; COVERED: upper layers have made it a directory.
_DIR, _OTHER, _LINKED, _GONE, _TAKEN, _COVERED = range(6)
_STEP = 8
_MOST_PASSES = 24


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as it is stored."""

    digest: str
    size: int
    open: Callable[[], IO[bytes]]


class Sink(Protocol):
    """Whoever wants the entries of a tree; their attributes and content are the reader's."""

    def restart(self) -> None:
        """Forget everything: the tree comes again from its beginning."""

    def add(self, name: bytes, reader: TarReader) -> None:
        """Take the entry the reader stands at, under this name."""

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Take a hard link to a name that was handed over before."""


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Paths of which an image's own entries are not handed on; what lies below them is."""

    dropped: frozenset[bytes] = frozenset()
    # Dropped, and refused with these words if they are something else than a regular file.
    only_files: dict[bytes, str] = field(default_factory=dict)


@dataclass(slots=True)
class Tree:
    """What a pass has found: for each directory its names, and how they were decided."""

    names: dict[bytes, dict[bytes, int]] = field(default_factory=dict)

    def kind(self, path: bytes) -> int | None:
        """Return what is known of a path, or nothing."""
        directory, base = split(path)
        return self.names.get(directory, {}).get(base)

    def has(self, path: bytes) -> bool:
        """Tell whether the path was handed on."""
        known = self.kind(path)
        return known is not None and known % _STEP in (_DIR, _OTHER, _LINKED)

    def is_directory(self, path: bytes) -> bool:
        """Tell whether the path is a directory, perhaps only because something lies in it."""
        known = self.kind(path)
        if known is None:
            return not path or bool(self.names.get(path))
        return known % _STEP == _DIR


@dataclass(slots=True)
class _Corrections:
    """What a pass learned too late."""

    # (layer, path): how many occurrences are followed by another one.
    repeated: dict[tuple[int, bytes], int] = field(default_factory=dict)
    # (layer, path) of hidden content: the links that need it.
    rescued: dict[tuple[int, bytes], list[bytes]] = field(default_factory=dict)
    # A symbolic link, met in this layer, that upper layers have put something below.
    moved: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)

    def counts(self) -> tuple[int, int, int]:
        """Return how much is known, of what the other things depend on first."""
        return (
            sum(self.repeated.values()),
            len(self.moved),
            sum(len(links) for links in self.rescued.values()),
        )

    def forget_doubtful(self, before: tuple[int, int, int]) -> None:
        """Drop what was learned by a pass that did not know something else yet."""
        repeated, moved, _ = self.counts()
        if repeated != before[0]:
            self.moved.clear()
        if repeated != before[0] or moved != before[1]:
            self.rescued.clear()


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return the directory (empty for the root) and the name in it."""
    directory, _, base = path.rpartition(b"/")
    return directory, base


def flatten(
    image: str,
    layers: Sequence[Layer],
    sink: Sink,
    exceptions: Exceptions | None = None,
    limits: Limits | None = None,
) -> Tree:
    """Hand the tree of the layers, lowest first, over to the sink; `image` names it in errors."""
    corrections = _Corrections()
    for _ in range(_MOST_PASSES):
        before = corrections.counts()
        flattening = _Pass(image, sink, exceptions or Exceptions(), limits or Limits(), corrections)
        tree = flattening.run(layers)
        if corrections.counts() == before:
            flattening.expect_nothing_more()
            return tree
        corrections.forget_doubtful(before)
        sink.restart()
    raise LayerError.of(
        codes.BROKEN, f"{image}: its links between layers lead to no end", "build the image anew"
    )


class _Pass:
    """One pass through all layers."""

    def __init__(
        self,
        image: str,
        sink: Sink,
        exceptions: Exceptions,
        limits: Limits,
        corrections: _Corrections,
    ) -> None:
        self.image = image
        self.sink = sink
        self.exceptions = exceptions
        self.limits = limits
        self.corrections = corrections
        self.pending_repeats = dict(corrections.repeated)
        self.tree = Tree()
        # Directories that something was met in, perhaps without an entry of their own: True if it
        # was more than whiteouts.
        self.occupied: dict[bytes, bool] = {}
        # Directories whose content in layers below this one is hidden, other than by _OTHER.
        self.closed: dict[bytes, int] = {}
        # Targets not met yet, and the links waiting for them with their layers: what comes after
        # a link in its own layer is not what it leads to.
        self.waiting: dict[bytes, list[tuple[int, bytes]]] = {}
        # Links that were not handed on yet: they wait, or their content has passed by already.
        self.unlinked: set[bytes] = set()
        # Links to links that wait.
        self.followers: dict[bytes, list[bytes]] = {}
        self.done_links: set[bytes] = set()
        # Of the current layer:
        self.layer = 0
        self.hidden_directories: dict[bytes, bool] = {}
        self.hidden_names: set[bytes] = set()
        # Those of them that links got their content from.
        self.hidden_links: set[bytes] = set()
        self.current = b""
        for path in (*exceptions.dropped, *exceptions.only_files):
            directory, base = split(path)
            self.tree.names.setdefault(directory, {})[base] = _TAKEN

    def run(self, layers: Sequence[Layer]) -> Tree:
        count = 0
        for self.layer, layer in enumerate(reversed(layers), 1):
            self.hidden_directories = {}
            self.hidden_names = set()
            self.hidden_links = set()
            self.current = b""
            with layer.open() as file:
                try:
                    room = self.limits.of(layer.size)
                    reader = TarReader(inflate(file, layer.size, self.limits), room)
                    self._walk(reader)
                    count += reader.count
                    if count > self.limits.entries:
                        raise Malformed(f"it has more than {self.limits.entries} entries")
                except Malformed as error:
                    raise self._error(layer, str(error)) from None
        return self.tree

    def expect_nothing_more(self) -> None:
        """Refuse hard links whose targets have not come."""
        for target, links in self.waiting.items():
            raise LayerError.of(
                codes.BROKEN,
                f"{self.image}: {_text(links[0][1])} is a hard link to {_text(target)}, "
                "which no layer has",
                "build the image anew",
            )

    def _error(self, layer: Layer, why: str) -> LayerError:
        entry = f", entry {_text(self.current)}" if self.current else ""
        hint = "`dolmen cache verify` tells whether the store is damaged; else build the image anew"
        return LayerError.of(
            codes.BROKEN, f"{self.image}, layer {layer.digest}{entry}: {why}", hint
        )

    def _walk(self, reader: TarReader) -> None:
        """Go through a layer. This is the hot loop: everything unusual is left to `_unusual`."""
        names, waiting, occupied = self.tree.names, self.waiting, self.occupied
        moved = self.corrections.moved
        repeats = self.pending_repeats
        add, advance = self.sink.add, reader.next
        most = self.limits.entries
        plain = dict.fromkeys(range(256), self.layer * _STEP + _OTHER)
        plain[DIRECTORY] = self.layer * _STEP + _DIR
        plain[SYMLINK] = self.layer * _STEP + _LINKED
        directory: bytes | None = None
        siblings: dict[bytes, int] = {}
        hidden = False
        self.current = b""
        while advance():
            name = self.current = reader.name
            if name[-1:] == b"/":
                name = name[:-1]
            if name[:1] in (b".", b"/", b"") or b"//" in name or b"/." in name or b"\0" in name:
                name = _cleaned(name)
                if not name:
                    continue  # the root directory itself
            if len(name) > LONGEST_NAME:
                raise Malformed("its path is too long")
            if reader.count > most:
                raise Malformed(f"it has more than {most} entries")
            cut = name.rfind(b"/")
            base = name[cut + 1 :]
            parent = name[:cut] if cut > 0 else b""
            if moved:
                parent = self._redirected(parent)
                name = parent + b"/" + base if parent else base
            if base[:4] == b".wh.":
                self._whiteout(parent, base)
                continue
            if parent != directory:
                directory = parent
                hidden = self._is_hidden(parent)
                if not hidden:
                    self._expect_directories(parent)
                self._occupy(parent, by_entry=True)
                known = names.get(parent)
                if known is None:
                    known = names[parent] = {}
                siblings = known
            kind = reader.kind
            if (
                hidden
                or base in siblings
                or kind == LINK
                or waiting
                or repeats
                or (kind != DIRECTORY and name in occupied)
            ):
                self._unusual(name, siblings, base, reader, hidden=hidden)
                continue
            siblings[base] = plain[kind]
            add(name, reader)

    def _unusual(
        self,
        name: bytes,
        siblings: dict[bytes, int],
        base: bytes,
        reader: TarReader,
        *,
        hidden: bool,
    ) -> None:
        kind = reader.kind
        if self.pending_repeats.get((self.layer, name)):
            self.pending_repeats[self.layer, name] -= 1
            if kind != DIRECTORY and not hidden:
                self._close(name)
            return
        if not hidden:
            hidden = self._decide(name, siblings, base, reader)
        if hidden:
            self._pass_by(name, reader)
        elif kind == LINK:
            arrived = self._ready(name)
            done = name in self.done_links
            if done and name not in self.unlinked:
                self._link_all(arrived, name, reader)
            else:
                self.followers.setdefault(name, []).extend(arrived)
            if not done:
                self._hard_link(name, self._target(reader), reader)
        else:
            self.sink.add(name, reader)
            if kind != DIRECTORY:
                self._handed_on(name, reader)

    def _decide(
        self, name: bytes, siblings: dict[bytes, int], base: bytes, reader: TarReader
    ) -> bool:
        """Settle what a path is by this entry, unless it is settled; tell if it is hidden."""
        kind, layer = reader.kind, self.layer
        own = _DIR if kind == DIRECTORY else _LINKED if kind == SYMLINK else _OTHER
        known = siblings.get(base)
        if known == _TAKEN:
            refusal = self.exceptions.only_files.get(name)
            if refusal is not None and kind != FILE:
                raise LayerError.of(
                    codes.REFUSED, f"{self.image}: {_text(name)} is not a regular file", refusal
                )
            siblings[base] = layer * _STEP + (_DIR if own == _DIR else _TAKEN)
            return True
        if known is not None and known // _STEP < layer:
            if own != _DIR:
                self._close(name)
            return True
        how = None if known is None else known % _STEP
        if how == _TAKEN:
            return True
        if how == _GONE:
            # The layer hides what is below, and has the path itself.
            self._close(name)
        elif how is not None and not (own == how == _DIR):
            self._repeat(name)
        by_entry = self.occupied.get(name)
        if how in (None, _GONE) and own != _DIR and by_entry is not None:
            if own == _LINKED:
                self._move(name, reader.link)
            if own == _LINKED or by_entry:
                siblings[base] = layer * _STEP + (_LINKED if own == _LINKED else _COVERED)
                return True
        siblings[base] = layer * _STEP + own
        return False

    def _repeat(self, name: bytes) -> None:
        """Note that an earlier occurrence of a path in this layer does not count."""
        key = (self.layer, name)
        self.corrections.repeated[key] = self.corrections.repeated.get(key, 0) + 1

    def _occupy(self, directory: bytes, *, by_entry: bool) -> None:
        """Note that something is in a directory, or in the nearest one that is not hidden."""
        occupied = self.occupied
        while directory and self._is_hidden(directory):
            directory = split(directory)[0]
        while directory and not occupied.get(directory, False):
            if not by_entry and directory in occupied:
                return
            occupied[directory] = by_entry
            directory = split(directory)[0]

    def _move(self, name: bytes, link: bytes) -> None:
        """Note that upper layers have put something below what is a symbolic link here."""
        directory = b"" if link[:1] == b"/" else split(name)[0]
        parts = directory.split(b"/") if directory else []
        for part in link.split(b"/"):
            if part == b"..":
                del parts[-1:]
            elif part and part != b".":
                parts.append(part)
        self.corrections.moved[name] = self.layer, b"/".join(parts)

    def _redirected(self, directory: bytes) -> bytes:
        """Return where a directory of the current layer is, if lower layers have it as a link."""
        for _ in range(_MOST_PASSES):
            at = directory
            while at:
                layer, target = self.corrections.moved.get(at, (0, b""))
                if self.layer <= layer:
                    directory = (target + directory[len(at) :]).strip(b"/")
                    break
                at = split(at)[0]
            else:
                return directory
        raise Malformed("it lies below symbolic links that lead in a circle")

    def _close(self, name: bytes) -> None:
        """Hide what layers below this one have below a path."""
        self.closed.setdefault(name, self.layer)

    def _is_hidden(self, directory: bytes) -> bool:
        """Tell whether upper layers hide what this one has in a directory."""
        known = self.hidden_directories.get(directory)
        if known is None:
            known = self.closed.get(directory, self.layer) < self.layer
            if not known and directory:
                parent, base = split(directory)
                known = self._is_hidden(parent) or self._is_covered(parent, base)
            self.hidden_directories[directory] = known
        return known

    def _is_covered(self, parent: bytes, base: bytes) -> bool:
        """Tell whether a directory's own path is something else in an upper layer."""
        state = self.tree.names.get(parent, {}).get(base, _DIR)
        if state % _STEP in (_DIR, _TAKEN):
            return state % _STEP == _TAKEN and 0 < state // _STEP < self.layer
        return state // _STEP < self.layer

    def _expect_directories(self, directory: bytes) -> None:
        """Refuse what lies below a file of the same layer."""
        while directory:
            state = self.tree.kind(directory)
            if state == self.layer * _STEP + _OTHER:
                raise Malformed(f"it lies below {_text(directory)}, which is not a directory")
            directory = split(directory)[0]

    def _whiteout(self, directory: bytes, base: bytes) -> None:
        if self._is_hidden(directory):
            return
        if base == b".wh..wh..opq":
            self._occupy(directory, by_entry=True)
            self._close(directory)
            return
        if base.startswith(b".wh..wh."):
            return  # bookkeeping of aufs
        hidden = base[4:]
        if hidden in (b"", b".", b".."):
            raise Malformed("it is a whiteout of nothing")
        self._occupy(directory, by_entry=False)
        siblings = self.tree.names.setdefault(directory, {})
        known = siblings.get(hidden)
        path = directory + b"/" + hidden if directory else hidden
        if known is None:
            siblings[hidden] = self.layer * _STEP + _GONE
            if self.occupied.get(path):
                # Upper layers have it again, without what was there before.
                self._close(path)
        elif known % _STEP != _GONE:
            self._close(path)
            if known == _TAKEN:
                siblings[hidden] = self.layer * _STEP + _TAKEN

    # Hard links

    def _target(self, reader: TarReader) -> bytes:
        """Return the path that a hard link leads to."""
        target = _cleaned(reader.link)
        if not target or target == reader.name:
            raise Malformed("it is a hard link to itself")
        directory, base = split(target)
        if self.corrections.moved:
            directory = self._redirected(directory)
        return directory + b"/" + base if directory else base

    def _hard_link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Hand on a link whose own path is visible."""
        directory, base = split(target)
        state = self.tree.names.get(directory, {}).get(base)
        here = state is not None and state // _STEP == self.layer
        if here and state is not None and state % _STEP in (_OTHER, _LINKED):
            if target in self.unlinked:
                self.unlinked.add(name)
                self.followers.setdefault(target, []).append(name)
            else:
                self._link_all([name], target, reader)
        elif here and state is not None and state % _STEP == _DIR:
            raise Malformed(f"it is a hard link to {_text(target)}, which is a directory")
        elif target in self.hidden_names:
            links = self.corrections.rescued.setdefault((self.layer, target), [])
            if name not in links:
                links.append(name)
            self.unlinked.add(name)
        else:
            self._wait(target, name)

    def _wait(self, target: bytes, link: bytes) -> None:
        self.unlinked.add(link)
        self.waiting.setdefault(target, []).append((self.layer, link))

    def _ready(self, target: bytes) -> list[bytes]:
        """Return the links of upper layers that wait for a target, no longer waiting."""
        links = self.waiting.pop(target, [])
        later = [(layer, link) for layer, link in links if layer >= self.layer]
        if later:
            self.waiting[target] = later
        return [link for layer, link in links if layer < self.layer]

    def _handed_on(self, name: bytes, reader: TarReader) -> None:
        """Hand on the links that waited for a name, and those that waited for them."""
        if self.waiting:
            self._link_all(self._ready(name), name, reader)

    def _link_all(self, links: Sequence[bytes], target: bytes, reader: TarReader) -> None:
        for link in links:
            self.unlinked.discard(link)
            self.sink.link(link, target, reader)
            self._link_all(self.followers.pop(link, ()), link, reader)

    def _pass_by(self, name: bytes, reader: TarReader) -> None:
        """Look at a hidden entry: links may need its content."""
        kind = reader.kind
        if kind == DIRECTORY:
            return
        links = self.corrections.rescued.get((self.layer, name), [])
        fresh = [link for link in links if link not in self.done_links]
        self.done_links.update(fresh)
        waited = self._ready(name)
        if name in self.hidden_links:
            self._repeat(name)
        elif waited or links:
            self.hidden_links.add(name)
        self.hidden_names.add(name)
        if kind == LINK:
            target = self._target(reader)
            for link in waited:
                self._hard_link(link, target, reader)
            for link in fresh:
                self._hard_link(link, target, reader)
            return
        first, *others = [*waited, *fresh] or [b""]
        if first:
            self.unlinked.discard(first)
            self.sink.add(first, reader)
            self._link_all(others, first, reader)
            self._link_all(self.followers.pop(first, ()), first, reader)


def _cleaned(name: bytes) -> bytes:
    if b"\0" in name:
        raise Malformed("its name holds a NUL")
    return clean(name)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
