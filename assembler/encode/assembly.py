"""A plan turned into what formats write: the tree as a tar, as an initrd, the kernel beside it.

`Assembly.prepare` makes the segments that are missing, in several processes. After that
everything is streamed from them: nothing large is ever in memory, and what depends on the YAML is
encoded fresh.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from assembler.codes import output as codes
from assembler.content import ContentChain, ContentRecorder, FileRange, write_content
from assembler.diagnostics import Diagnostic, Severity
from assembler.encode import tar, unpacking
from assembler.encode.compression import CODECS, Compression
from assembler.encode.generated import InitrdPart, Known, Payload, TarPart, add, directories, led
from assembler.encode.inventory import Inventory
from assembler.encode.jobs import (
    TAR,
    Form,
    Job,
    TreeJob,
    capture_for,
)
from assembler.encode.joined import ALIGNMENT, JoinedArchive
from assembler.encode.members import Wanted, jobs_for
from assembler.encode.newc import is_boot
from assembler.encode.output import Plain
from assembler.encode.segment_pool import SegmentPool
from assembler.encode.segments import Segment
from assembler.errors import OutputError, wrap_os_errors
from assembler.events import NullReporter, Reporter, WarningEmitted
from assembler.files import preallocate
from assembler.oci import LayerLimits, Store
from assembler.rootfs.plan import (
    Entry,
    ImageTree,
    JoinedDatabase,
    Kind,
    Made,
    Member,
    MemberTree,
    Part,
    Plan,
    StoreBlob,
)

if TYPE_CHECKING:
    from assembler.encode.record import Origins

# What headers take of an entry at most, as a rule, and what is behind the last one.
_ENTRY_ROOM, _END_ROOM = 8 << 10, 4 << 20


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How a plan is turned into outputs."""

    compression: Compression = field(default_factory=Compression)
    # How many processes work at once.
    jobs: int = 2
    limits: LayerLimits = field(default_factory=LayerLimits)


class Assembly:
    """A plan, and everything that formats can have of it."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        options: EncodeOptions | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        """Make nothing yet: formats say what they need."""
        self.plan = plan
        self.store = store
        self.options = options or EncodeOptions()
        self.reporter = reporter or NullReporter()
        self._shelf = SegmentPool(store, self.options.limits, self.options.jobs, self.reporter)
        self._stack = ExitStack()
        self._warned = False
        self._initrds: dict[bool, ContentChain] = {}

    def close(self) -> None:
        """Let go of all files."""
        self._shelf.close()
        self._initrds.clear()
        self._stack.close()

    def __enter__(self) -> Assembly:
        """Let go of all files at the end of the block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Let go of all files."""
        self.close()

    # What formats use

    @property
    def initrd_form(self) -> Form:
        """Return how the initrd is encoded."""
        return Form(self.options.compression)

    def prepare(self, *, tree: bool = False, initrd: bool = False, boot: bool = False) -> None:
        """Make what will be needed and is not in the cache."""
        forms = ([TAR] if tree else []) + ([self.initrd_form] if initrd else [])
        self._shelf.fill(list(self._jobs(forms, boot=boot)))
        if initrd:
            self._check_unpacking()

    def _check_unpacking(self) -> None:
        if CODECS[self.options.compression.codec].kernel_option:
            config = self.kernel_config()
            if config is not None:
                unpacking.check(*config, self.options.compression)

    def kernel_config(self) -> tuple[bytes, Member] | None:
        """Return how the kernel is configured, if its image says so, and the file that does."""
        members = unpacking.configurations(self.plan.boot)
        lacking = [w for w in map(_optional, members) if self._shelf.find(w.name) is None]
        if lacking:
            self._shelf.make(list(jobs_for(lacking)))
        for member in members:
            segment = self._shelf.take(_optional(member).name)
            if segment.details["there"]:
                size = min(segment.size, unpacking.LARGEST_CONFIG)
                return os.pread(segment.file.fileno(), size, 0), member
        return None

    def write_tree(
        self, out: IO[bytes], extra: Sequence[Made] = (), origins: Origins | None = None
    ) -> None:
        """Write the whole tree as a tar, and `extra` behind it; `origins` stand at its head."""
        self.prepare(tree=True)
        self._reserve(out, TAR)
        if origins is not None:
            from assembler.encode.record import block  # noqa: PLC0415 - only tars have it

            out.write(block(origins, self.plan, self._made_of))
        for piece in self.tree(extra):
            if isinstance(piece, FileRange):
                write_content(out, piece)
            else:
                out.write(piece)

    def tree(self, extra: Sequence[Made] = ()) -> Iterator[bytes | memoryview | FileRange]:
        """Yield the whole tree as a tar, in pieces each of which is used before the next."""
        self.prepare(tree=True)
        known = Known()
        for part in (*self.plan.parts, *extra):
            if isinstance(part, ImageTree | MemberTree):
                segment = self._shelf.take(self._name(part, TAR))
                yield segment.data()
                known.add(segment.inventory())
            elif (made := self._made(part)) is not None:
                fresh = TarPart(made.origin)
                for entry in known.missing(made.entries):
                    with self._content(entry) as content:
                        add(fresh.encoder, fresh, entry, content)
                        yield from fresh.taken()
                known.add(fresh.inventory)
        yield tar.END

    def write_initrd(self, out: IO[bytes], *, ucode: bool = True) -> None:
        """Write the tree without boot/* as one or several compressed archives."""
        self.prepare(initrd=True, boot=ucode and self.plan.boot is not None)
        if ucode and (early := self.ucode()) is not None:
            write_content(out, early.content)
            out.write(bytes(-early.size % ALIGNMENT))
        self._reserve(out, self.initrd_form)
        known = Known()
        whole = JoinedArchive(out, self.options.compression)
        whole.begin()
        fresh = InitrdPart(whole)
        inventories: list[Inventory] = []
        for part in self.plan.parts:
            if isinstance(part, ImageTree | MemberTree):
                segment = self._shelf.take(self._name(part, self.initrd_form))
                inventories.append(segment.inventory())
                self._add_all(fresh, known.missing(directories(inventories[-1].late)))
                known.add(fresh.inventory)
                fresh = fresh.finish()
                write_content(out, segment.data())
                whole.account(Plain(*segment.details["plain"]))
                known.add(inventories[-1])
            elif (made := self._made(part)) is not None:
                entries = [e for e in made.entries if not is_boot(e.path.encode())]
                self._add_all(fresh, known.missing(led(entries, known)))
                known.add(fresh.inventory)
        fresh.finish()
        whole.end()
        self._warn_of_lost(inventories)

    def initrd(self, *, ucode: bool = True) -> ContentChain:
        """Return what `write_initrd` writes; it is made once, and its segments are not copied."""
        if ucode not in self._initrds:
            import tempfile  # noqa: PLC0415 - slow to load, and seldom needed

            tmp = self.store.layout.tmp
            directory = tmp if os.access(tmp, os.W_OK) else None
            fresh = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed with the rest
            self._stack.callback(fresh.close)
            recorder = ContentRecorder(fresh)
            with wrap_os_errors(directory or "the directory of temporary files"):
                self.write_initrd(cast("IO[bytes]", recorder), ucode=ucode)
                self._initrds[ucode] = recorder.content()
        return self._initrds[ucode]

    def _reserve(self, out: IO[bytes], form: Form) -> None:
        """Have room for an output: too much rather than too little, the rest is given back."""
        room = _END_ROOM
        for part in self.plan.parts:
            if isinstance(part, ImageTree | MemberTree):
                room += self._shelf.take(self._name(part, form)).size
            elif isinstance(part, Made):
                room += sum(_ENTRY_ROOM + self._weight(e) for e in part.entries)
        preallocate(out, room)

    def _weight(self, entry: Entry) -> int:
        """Return how much content a made entry has."""
        content = entry.content
        if isinstance(content, Member):
            return self._payload(content).size
        return len(content) if isinstance(content, bytes) else content.size

    def _add_all(self, fresh: InitrdPart, entries: Iterable[Entry]) -> None:
        for entry in entries:
            with self._content(entry) as content:
                add(fresh.encoder, fresh, entry, content)

    def kernel(self) -> Payload | None:
        """Return the kernel, if the system has one."""
        return self._payload(self.plan.boot.kernel) if self.plan.boot else None

    def ucode(self) -> Payload | None:
        """Return the microcode for the kernel, if the system has one."""
        boot = self.plan.boot
        return self._payload(boot.ucode) if boot and boot.ucode else None

    @property
    def cmdline(self) -> str:
        """Return the kernel's command line, or nothing."""
        return self.plan.boot.cmdline if self.plan.boot else ""

    # Segments

    def _jobs(self, forms: Sequence[Form], *, boot: bool) -> Iterator[Job]:
        databases = [p for p in self.plan.parts if isinstance(p, JoinedDatabase)]
        wanted: list[Wanted] = []
        seen: set[str] = set()
        for form in forms:
            for part in self.plan.parts:
                if isinstance(part, ImageTree):
                    job = TreeJob(part, form, capture_for(part, databases))
                    if job.names[0] not in seen:
                        seen.update(job.names)
                        yield job
                elif isinstance(part, MemberTree):
                    wanted.append(Wanted(part, form))
                elif isinstance(part, Made) and form == TAR:
                    boot = boot or any(isinstance(e.content, Member) for e in part.entries)
        if boot and self.plan.boot:
            wanted.append(Wanted(self.plan.boot.kernel))
            if self.plan.boot.ucode:
                wanted.append(Wanted(self.plan.boot.ucode))
        if self.initrd_form in forms:
            wanted += map(_optional, unpacking.configurations(self.plan.boot))
        lacking = [w for w in wanted if self._shelf.find(w.name) is None]
        yield from jobs_for(lacking)

    def _name(self, part: ImageTree | MemberTree, form: Form) -> str:
        if isinstance(part, MemberTree):
            return Wanted(part, form).name
        databases = [p for p in self.plan.parts if isinstance(p, JoinedDatabase)]
        return TreeJob(part, form, capture_for(part, databases)).names[0]

    def _made_of(self, part: ImageTree | MemberTree | Member) -> Segment:
        name = Wanted(part).name if isinstance(part, Member) else self._name(part, TAR)
        return self._shelf.take(name)

    def _payload(self, member: Member) -> Payload:
        name = Wanted(member).name
        if self._shelf.find(name) is None:
            self.prepare(boot=True)
        segment = self._shelf.take(name)
        return Payload(segment.data(), int(segment.details["mode"]))

    # What depends on the YAML

    def _made(self, part: Part) -> Made | None:
        if isinstance(part, Made):
            return part
        if isinstance(part, JoinedDatabase):
            return self._joined(part)
        return None

    def _joined(self, part: JoinedDatabase) -> Made | None:
        """Return the joined package databases, if more than one image has one."""
        found = []
        for image in part.images:
            for tree in self.plan.parts:
                if isinstance(tree, ImageTree) and tree.image == image and not tree.prefix:
                    found.append(self._captured(tree, part.path))
                    break
        contents = [c for c in found if c is not None]
        if len(contents) < 2:
            return None
        content = b"".join(c + b"\n\n" for c in contents)
        return Made(part.origin, (Entry(part.path, Kind.FILE, 0o644, content, mtime=0),))

    def _captured(self, tree: ImageTree, path: str) -> bytes | None:
        for form in (TAR, self.initrd_form):
            segment = self._shelf.find(self._name(tree, form))
            if segment is not None:
                return segment.captured(path)
        return None

    @contextmanager
    def _content(self, entry: Entry) -> Iterator[bytes | Payload]:
        """Give the content of an entry: bytes, or a file that is open during the block."""
        content = entry.content
        if isinstance(content, bytes):
            yield content
            return
        if isinstance(content, Member):
            yield self._payload(content)
            return
        if isinstance(content, StoreBlob):
            file = self.store.open(content.descriptor, entry.path)
        else:
            with wrap_os_errors(content.path, "read"):
                file = content.path.open("rb")
        with closing(file):
            if os.fstat(file.fileno()).st_size != content.size:
                raise OutputError.of(
                    codes.SOURCE_CHANGED,
                    f"the file for {entry.path} changed while the build was under way",
                    "build again when nothing writes to it",
                )
            yield Payload(FileRange(file.fileno(), content.size), entry.mode)

    def _warn_of_lost(self, inventories: Sequence[Inventory]) -> None:
        count = sum(i.capable_count for i in inventories)
        if not count or self._warned:
            return
        self._warned = True
        names = [n.decode("utf-8", "replace") for i in inventories for n in i.capable][:3]
        more = f" and {count - len(names)} more" if count > len(names) else ""
        self.reporter.emit(
            WarningEmitted(
                Diagnostic(
                    codes.LOST_ATTRIBUTES,
                    f"file capabilities are lost in the initrd: {', '.join(names)}{more}",
                    hints=("formats with a filesystem (kernel+squashfs, kernel+erofs) keep them",),
                    severity=Severity.WARNING,
                )
            )
        )


def _optional(member: Member) -> Wanted:
    return Wanted(member, optional=True)
