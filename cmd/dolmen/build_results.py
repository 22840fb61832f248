"""What a build has come to, for people and for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler import stamp
from assembler.diagnostics import Diagnostic, render
from assembler.events import Event, LogMessage, Warned, several
from dolmen.console import say, size_text

if TYPE_CHECKING:
    from assembler.build.preparing import Prepared
    from assembler.errors import DolmenError
    from assembler.events import Reporter
    from assembler.formats import Output
    from dolmen.build_options import Asked
    from dolmen.settings import Settings


@dataclass(frozen=True, slots=True)
class Noting:
    """Hands events on, and keeps the warnings: an unchanged build tells them again."""

    reporter: Reporter
    warnings: list[Diagnostic]

    def emit(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Warned):
            self.warnings.append(event.diagnostic)
        self.reporter.emit(event)


@dataclass(frozen=True, slots=True)
class Built:
    """What a build has made, and what it was made from."""

    prepared: Prepared
    outputs: Sequence[Output]
    seconds: Mapping[str, float]
    warnings: Sequence[Diagnostic] = ()

    @property
    def result(self) -> dict[str, Any]:
        """Return everything a script may want to know, but for the digests of files."""
        return {
            "unchanged": False,
            "outputs": [
                {
                    "format": o.format,
                    "role": o.role,
                    "path": str(o.path) if o.path else None,
                    "reference": o.reference or None,
                    "size": o.size,
                    "digest": o.digest or None,
                }
                for o in self.outputs
            ],
            "parts": self.prepared.report(),
            "seconds": dict(self.seconds),
            "warnings": [w.as_json() | {"text": render(w)} for w in self.warnings],
            "errors": [],
        }

    def stamp(self, store: Path) -> stamp.Stamp:
        """Return what lets the next build see that nothing has changed."""
        from assembler.oci.reference import Reference  # noqa: PLC0415
        from assembler.oci.store.lookup import spellings  # noqa: PLC0415

        references = [
            *self.prepared.references,
            *(Reference.parse(o.reference) for o in self.outputs if o.reference),
        ]
        names = tuple(sorted({form for r in references for form in spellings(r)}))
        return stamp.Stamp(
            names,
            stamp.known_as(store, names),
            tuple(stamp.Trace.of(path) for path in self.prepared.local_files),
            tuple(stamp.Trace.of(o.path) for o in self.outputs if o.path),
            self.result,
        )


def tell(settings: Settings, asked: Asked, result: dict[str, Any]) -> None:
    """Say what there is now: JSON on standard output, or a line per output on standard error."""
    if asked.as_json:
        for output in result["outputs"]:
            if output["path"] and not output["digest"]:
                from assembler.formats.protocol import digest_of  # noqa: PLC0415

                output["digest"] = digest_of(Path(output["path"]))
        told = [{k: v for k, v in w.items() if k != "text"} for w in result["warnings"]]
        say(json.dumps(result | {"warnings": told}, indent=2))
    elif not settings.quiet:
        for output in result["outputs"]:
            what = output["path"] or output["reference"] or "standard output"
            state = "unchanged" if result["unchanged"] else size_text(output["size"])
            sys.stderr.write(f"{what}  {state}\n")


def tell_failure(error: DolmenError, warnings: Sequence[Diagnostic]) -> None:
    """Print what went wrong, in the form of a result without outputs."""
    result = {
        "unchanged": False,
        "outputs": [],
        "parts": [],
        "seconds": {},
        "warnings": [w.as_json() for w in warnings],
        "errors": [d.as_json() for d in error.diagnostics],
    }
    say(json.dumps(result, indent=2))


def tell_images(prepared: Prepared, reporter: Reporter) -> None:
    """Say, to those who want to know more, which images the names stood for."""
    for reference, image in prepared.images.items():
        about = f"{several(len(image.manifest.layers), 'layer')}, {size_text(image.layer_bytes)}"
        reporter.emit(
            LogMessage(f"{reference} is {image.digest}, {image.config.platform}, {about}", 1)
        )
