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

# What is known of a path: the layer that decided it, counted from 1, and how; layer 0 is the rules.
_DIR, _OTHER, _GONE, _LINKED, _RULED = range(5)
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
    changes: int = 0


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
        before = corrections.changes
        flattening = _Pass(image, sink, exceptions or Exceptions(), limits or Limits(), corrections)
        tree = flattening.run(layers)
        if corrections.changes == before:
            return tree
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
        # Directories whose content in layers below this one is hidden, other than by _OTHER.
        self.closed: dict[bytes, int] = {}
        # Targets not met yet, and the links waiting for them.
        self.waiting: dict[bytes, list[bytes]] = {}
        self.done_links: set[bytes] = set()
        # Of the current layer:
        self.layer = 0
        self.hidden_directories: dict[bytes, bool] = {}
        self.hidden_names: set[bytes] = set()
        self.current = b""
        for path in (*exceptions.dropped, *exceptions.only_files):
            directory, base = split(path)
            self.tree.names.setdefault(directory, {})[base] = _RULED

    def run(self, layers: Sequence[Layer]) -> Tree:
        count = 0
        for self.layer, layer in enumerate(reversed(layers), 1):
            self.hidden_directories = {}
            self.hidden_names = set()
            self.current = b""
            with layer.open() as file:
                try:
                    reader = TarReader(inflate(file, layer.size, self.limits))
                    self._walk(reader)
                    count += reader.count
                    if count > self.limits.entries:
                        raise Malformed(f"it has more than {self.limits.entries} entries")
                except Malformed as error:
                    raise self._error(layer, str(error)) from None
        if self.waiting:
            target, links = next(iter(self.waiting.items()))
            raise LayerError.of(
                codes.BROKEN,
                f"{self.image}: {_text(links[0])} is a hard link to {_text(target)}, "
                "which no layer has",
                "build the image anew",
            )
        return self.tree

    def _error(self, layer: Layer, why: str) -> LayerError:
        entry = f", entry {_text(self.current)}" if self.current else ""
        hint = "`dolmen cache verify` tells whether the store is damaged; else build the image anew"
        return LayerError.of(
            codes.BROKEN, f"{self.image}, layer {layer.digest}{entry}: {why}", hint
        )

    def _walk(self, reader: TarReader) -> None:
        """Go through a layer. This is the hot loop: everything unusual is left to `_unusual`."""
        names, waiting = self.tree.names, self.waiting
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
                or (kind != DIRECTORY and name in names)
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
        if not hidden:
            if self.pending_repeats.get((self.layer, name)):
                self.pending_repeats[self.layer, name] -= 1
                return
            hidden = self._decide(name, siblings, base, reader)
        if hidden:
            self._pass_by(name, reader)
        elif kind == LINK:
            self._hard_link(name, _target(reader), reader)
        else:
            self.sink.add(name, reader)
            self._handed_on(name, reader)

    def _decide(
        self, name: bytes, siblings: dict[bytes, int], base: bytes, reader: TarReader
    ) -> bool:
        """Settle what a path is by this entry, unless it is settled; tell if it is hidden."""
        kind, layer = reader.kind, self.layer
        own = _DIR if kind == DIRECTORY else _LINKED if kind == SYMLINK else _OTHER
        known = siblings.get(base)
        if known is None:
            if own != _DIR and self.tree.names.get(name):
                return self._below_something(name, own, reader)
        elif known == _RULED:
            refusal = self.exceptions.only_files.get(name)
            if refusal is not None and kind != FILE:
                raise LayerError.of(
                    codes.REFUSED, f"{self.image}: {_text(name)} is not a regular file", refusal
                )
            siblings[base] = layer * _STEP + (_DIR if own == _DIR else _RULED)
            return True
        elif known // _STEP < layer:
            if own != _DIR:
                self._close(name)
            return True
        elif known % _STEP == _GONE:
            # The layer hides what is below, and has the path itself.
            self._close(name)
        elif known % _STEP == _RULED:
            return True
        elif own != _DIR or known % _STEP != _DIR:
            key = (layer, name)
            self.corrections.repeated[key] = self.corrections.repeated.get(key, 0) + 1
            self.corrections.changes += 1
        siblings[base] = layer * _STEP + own
        return False

    def _below_something(self, name: bytes, own: int, reader: TarReader) -> bool:
        """Decide on something that is no directory, where entries below its path were handed on."""
        if own == _LINKED:
            self._move(name, reader.link, self.layer)
        else:
            self._close(name)
        return True

    def _move(self, name: bytes, link: bytes, layer: int) -> None:
        directory = b"" if link[:1] == b"/" else split(name)[0]
        parts = directory.split(b"/") if directory else []
        for part in link.split(b"/"):
            if part == b"..":
                del parts[-1:]
            elif part and part != b".":
                parts.append(part)
        self.corrections.moved[name] = layer, b"/".join(parts)
        self.corrections.changes += 1

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
                known = self._is_hidden(parent) or self._is_covered(directory, parent, base)
            self.hidden_directories[directory] = known
        return known

    def _is_covered(self, directory: bytes, parent: bytes, base: bytes) -> bool:
        """Tell whether the directory's own path is something else in an upper layer."""
        state = self.tree.names.get(parent, {}).get(base, _DIR)
        if state % _STEP in (_DIR, _RULED):
            return state % _STEP == _RULED and 0 < state // _STEP < self.layer
        if state // _STEP < self.layer:
            return True
        if state % _STEP == _OTHER:
            raise Malformed(f"it lies below {_text(directory)}, which is not a directory")
        return False

    def _whiteout(self, directory: bytes, base: bytes) -> None:
        if self._is_hidden(directory):
            return
        if base == b".wh..wh..opq":
            self._close(directory)
            return
        if base.startswith(b".wh..wh."):
            return  # bookkeeping of aufs
        hidden = base[4:]
        if hidden in (b"", b".", b".."):
            raise Malformed("it is a whiteout of nothing")
        siblings = self.tree.names.setdefault(directory, {})
        known = siblings.get(hidden)
        path = directory + b"/" + hidden if directory else hidden
        if known is None:
            siblings[hidden] = self.layer * _STEP + _GONE
            if self.tree.names.get(path):
                self._close(path)
                # Something lies in it: it is a directory again, without what was there before.
        elif known % _STEP != _GONE:
            self._close(path)
            if known == _RULED:
                siblings[hidden] = self.layer * _STEP + _RULED

    # Hard links

    def _hard_link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Hand on a link whose own path is visible."""
        if name in self.done_links:
            self.done_links.discard(name)
            return
        if target == name:
            raise Malformed("it is a hard link to itself")
        directory, base = split(target)
        state = self.tree.names.get(directory, {}).get(base)
        here = state is not None and state // _STEP == self.layer
        if here and state is not None and state % _STEP in (_OTHER, _LINKED):
            if self._waits(target):
                self.waiting.setdefault(target, []).append(name)
            else:
                self.sink.link(name, target, reader)
                self._handed_on(name, reader)
        elif here and state is not None and state % _STEP == _DIR:
            raise Malformed(f"it is a hard link to {_text(target)}, which is a directory")
        elif target in self.hidden_names:
            links = self.corrections.rescued.setdefault((self.layer, target), [])
            if name not in links:
                links.append(name)
                self.corrections.changes += 1
        else:
            self.waiting.setdefault(target, []).append(name)

    def _waits(self, name: bytes) -> bool:
        return any(name in links for links in self.waiting.values())

    def _handed_on(self, name: bytes, reader: TarReader) -> None:
        """Hand on the links that waited for a name, and those that waited for them."""
        if not self.waiting:
            return
        for link in self.waiting.pop(name, ()):
            self.sink.link(link, name, reader)
            self._handed_on(link, reader)

    def _pass_by(self, name: bytes, reader: TarReader) -> None:
        """Look at a hidden entry: links may need its content."""
        kind = reader.kind
        if kind == DIRECTORY:
            return
        links = self.corrections.rescued.get((self.layer, name), [])
        fresh = [link for link in links if link not in self.done_links]
        self.done_links.update(fresh)
        waited = self.waiting.pop(name, [])
        self.hidden_names.add(name)
        if kind == LINK:
            target = _target(reader)
            for link in waited:
                self._hard_link(link, target, reader)
            for link in fresh:
                self.done_links.discard(link)
                self._hard_link(link, target, reader)
                self.done_links.add(link)
            return
        first, *others = [*waited, *fresh] or [b""]
        if first:
            self.sink.add(first, reader)
            for link in others:
                self.sink.link(link, first, reader)
            for link in (first, *others):
                self._handed_on(link, reader)


def _cleaned(name: bytes) -> bytes:
    if b"\0" in name:
        raise Malformed("its name holds a NUL")
    return clean(name)


def _target(reader: TarReader) -> bytes:
    target = _cleaned(reader.link)
    if not target:
        raise Malformed("it is a hard link to nothing")
    return target


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
