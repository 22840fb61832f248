"""Taking single files out of an image: the kernel, microcode, and the modules, a tar of their own.

All that is wanted of an image comes in one pass through its layers. A name that is a link in the
image is followed to the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from assembler.codes import layers as codes
from assembler.encode import salvaged, segments
from assembler.encode.jobs import TAR, Form, Placed, Sources, Writer
from assembler.encode.newc import Learned
from assembler.encode.output import FileOutput
from assembler.encode.segments import SegmentWriter
from assembler.errors import DolmenError, LayerError
from assembler.oci import (
    DIRECTORY,
    FILE,
    HARD_LINK,
    SYMLINK,
    Image,
    MalformedTarError,
    TarReader,
    flatten_layers,
    normalize_tar_path,
)
from assembler.rootfs import members
from assembler.rootfs.decompress import decompressed
from assembler.rootfs.plan import Member, MemberTree

# Counted up whenever the same image gives other bytes.
_VERSION = 1
_MOST_LINKS = 16
_MOST_NAMES = 200
_TAR_MAGIC = slice(257, 262)
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd", b"\xfd7": "xz", b"BZ": "bzip2"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of an image, as it is or as a tree; the segment it becomes has this name."""

    member: Member | MemberTree
    form: Form | None = None
    # Whether it may be missing; the segment is empty then, and says so.
    optional: bool = False

    @property
    def path(self) -> str:
        """Return the name of the file in the image's root."""
        return self.member.member if isinstance(self.member, MemberTree) else self.member.name

    @property
    def name(self) -> str:
        """Return the name of the segment."""
        if isinstance(self.member, Member):
            return segments.key(
                kind=f"{'optional' if self.optional else 'member'}/{_VERSION}",
                manifest=self.member.image.digest,
                path=self.path,
                decompress=self.member.decompress,
                **salvaged.key(self.member.image),
            )
        form = self.form or TAR
        origin = self.member.origin
        return segments.key(
            kind=f"membertree/{_VERSION}",
            form=form.identity,
            manifest=self.member.image.digest,
            path=self.path,
            origin=[origin.source, origin.location] if form == TAR else None,
            **salvaged.key(self.member.image),
        )


@dataclass(frozen=True, slots=True)
class MembersJob:
    """Several files of one image."""

    image: Image
    wanted: tuple[Wanted, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The segments that it makes."""
        return tuple(w.name for w in self.wanted)

    @property
    def title(self) -> str:
        """What it is about, for people."""
        return f"{', '.join(w.path for w in self.wanted)} of {self.image.reference}"

    def run(self, sources: Sources) -> None:
        """Make the segments."""
        cache = sources.cache
        with ExitStack() as stack:
            takers = [_Taker(w, stack.enter_context(cache.writing(w.name))) for w in self.wanted]
            paths = {t.wanted.path.encode(): t.wanted.path.encode() for t in takers}
            for _ in range(_MOST_LINKS):
                sink = _Picker(paths, takers)
                flatten_layers(
                    str(self.image.reference),
                    sources.layers(self.image),
                    sink,
                    limits=sources.limits,
                )
                more = sink.links_to_follow()
                if not more and not any(t.again for t in takers):
                    break
                paths.update(more)
                sink.restart()
            for taker in takers:
                if not taker.found and not taker.wanted.optional:
                    raise sink.missing(taker)
                taker.draft.details["there"] = taker.found


class _Taker:
    """Turns one file into its segment."""

    def __init__(self, wanted: Wanted, draft: SegmentWriter) -> None:
        self.wanted = wanted
        self.draft = draft
        self.found = False
        self.again = False
        self._learned: Learned | None = None

    def restart(self) -> None:
        self.draft.restart()
        self.found = self.again = False

    def take(self, reader: TarReader) -> None:
        self.found = True
        member = self.wanted.member
        if isinstance(member, MemberTree):
            self._unpack(member, reader)
            return
        output = FileOutput(self.draft.file.fileno())
        if member.decompress:
            source = _Readable(reader.chunks())
            for piece in decompressed(source, str(member.image.reference), place=member.place):
                output.put(piece)
        else:
            reader.write_to(output.put)
        output.finish()
        self.draft.details.update(crc32=output.checksum, mode=reader.mode)

    def _unpack(self, part: MemberTree, reader: TarReader) -> None:
        """Encode the entries of an archive in the image, its names as they are."""
        what = f"{part.image.reference}, {part.member}"
        placed = Placed(
            part.origin, "", what, segments.key(member=part.member, of=part.image.digest)
        )
        writer = Writer(self.draft, self.wanted.form or TAR, placed, self._learned)
        entry = b""
        try:
            inner = TarReader(_checked(reader.chunks(), part.member))
            add, link = writer.encoder.add, writer.encoder.link
            while inner.next():
                entry = inner.name
                name = _name_of(entry)
                if not name:
                    continue
                if inner.kind == HARD_LINK:
                    link(name, _name_of(inner.link), inner)
                else:
                    add(name, inner)
        except MalformedTarError as error:
            at = f", entry {entry.decode('utf-8', 'backslashreplace')}" if entry else ""
            raise LayerError.of(codes.NOT_AN_ARCHIVE, f"{what}{at}: {error}") from None
        learned = writer.finish(what)
        if learned is not None:
            self._learned, self.again = learned, True


def _name_of(name: bytes) -> bytes:
    """Return the name as it is, but without slashes around it, if it stays below the root."""
    if not normalize_tar_path(name):
        return b""
    return name.strip(b"/")


def _checked(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Pass the chunks on if they look like a tar archive."""
    for first in chunks:
        compression = _COMPRESSIONS.get(first[:2])
        if compression and first[_TAR_MAGIC] != b"ustar":
            raise MalformedTarError(
                f"{name} is compressed with {compression}; it has to be a plain tar"
            )
        yield first
        break
    yield from chunks


class _Readable:
    """Chunks as a stream that is read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _Picker:
    """Takes the wanted files out of the tree, and notes what else the root has."""

    def __init__(self, paths: dict[bytes, bytes], takers: list[_Taker]) -> None:
        """`paths` leads from the name of a wanted file to where it really is."""
        self._paths = paths
        self._takers = takers
        self._targets: dict[bytes, bytes] = {}
        self._others: dict[bytes, int] = {}
        self._root_files: list[str] = []

    def restart(self) -> None:
        for taker in self._takers:
            taker.restart()
        self._targets.clear()
        self._others.clear()
        self._root_files.clear()

    def add(self, name: bytes, reader: TarReader) -> None:
        if b"/" not in name and reader.kind == FILE and len(self._root_files) < _MOST_NAMES:
            self._root_files.append(name.decode("utf-8", "backslashreplace"))
        for taker in self._takers:
            if self._paths[taker.wanted.path.encode()] != name:
                continue
            if reader.kind == FILE:
                self._take(taker, name, reader)
            elif reader.kind == SYMLINK:
                target = reader.link
                if target[:1] != b"/":
                    target = name[: name.rfind(b"/") + 1] + target
                self._targets[name] = normalize_tar_path(target)
            else:
                self._others[name] = reader.kind

    def _take(self, taker: _Taker, name: bytes, reader: TarReader) -> None:
        same = [
            t
            for t in self._takers
            if self._paths[t.wanted.path.encode()] == name and t is not taker
        ]
        if any(t.found for t in same):
            if taker.wanted.optional:
                return
            raise _twice(taker, same[0])
        taker.take(reader)

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:  # noqa: ARG002
        if name in self._paths.values():
            self._targets[name] = target

    def links_to_follow(self) -> dict[bytes, bytes]:
        """Return the wanted names that turned out to be links, and where they lead."""
        return {
            path: self._targets[real] for path, real in self._paths.items() if real in self._targets
        }

    def missing(self, taker: _Taker) -> DolmenError:
        """Say why a file was not found."""
        path = self._paths[taker.wanted.path.encode()]
        if path in self._others:
            what = "a directory" if self._others[path] == DIRECTORY else "a device"
            return members.not_a_file(taker.wanted.member, what)
        if path != taker.wanted.path.encode():
            return members.not_a_file(taker.wanted.member, "a link that leads nowhere")
        return members.missing(taker.wanted.member, self._root_files)


def _twice(one: _Taker, other: _Taker) -> DolmenError:
    return LayerError.of(
        codes.NOT_AN_ARCHIVE,
        f"{one.wanted.member.image.reference}: {one.wanted.path!r} and {other.wanted.path!r} are "
        "the same file, which cannot be both",
    )


def jobs_for(wanted: Iterable[Wanted]) -> list[MembersJob]:
    """Return jobs for wanted files: one for each image, more if a file is wanted in two ways."""
    groups: list[dict[str, Wanted]] = []
    for one in {w.name: w for w in wanted}.values():
        digest = one.member.image.digest
        for group in groups:
            if one.path not in group and all(
                w.member.image.digest == digest for w in group.values()
            ):
                group[one.path] = one
                break
        else:
            groups.append({one.path: one})
    return [MembersJob(next(iter(g.values())).member.image, tuple(g.values())) for g in groups]
