"""The list of templates: names, summaries, and how to run an image made from each."""

from __future__ import annotations

from dataclasses import dataclass

from assembler.codes import usage
from assembler.errors import UsageError

DEFAULT_TEMPLATE = "web-server"


@dataclass(frozen=True, slots=True)
class Template:
    """A template: its name, a summary, and options of `dolmen run qemu` for its image."""

    name: str
    summary: str
    run_options: tuple[str, ...] = ()

    def run_command(self, file: str) -> tuple[str, ...]:
        """Return the command that builds and runs a file made from the template."""
        return ("dolmen", "run", "qemu", file, *self.run_options)


_TEMPLATES = (
    Template("web-server", "serve a page with nginx", ("--publish", "8080:80")),
    Template("ssh", "log in with SSH", ("--ssh", "--detached", "--wait-for", "init: started")),
    Template(
        "database",
        "keep data with Redis",
        ("--disk", "data.img,size=1G", "--publish", "6379:6379"),
    ),
    Template("minimal", "a shell on the console"),
    Template("service", "run a script of yours"),
)
_OLDER_NAMES = {"sshd": "ssh"}


def templates() -> tuple[Template, ...]:
    """Return all templates; the first is the default."""
    return _TEMPLATES


def find_template(name: str) -> Template:
    """Return a template by its name, or by the name that it had before."""
    wanted = _OLDER_NAMES.get(name, name)
    for template in _TEMPLATES:
        if template.name == wanted:
            return template
    from assembler.spelling import did_you_mean  # noqa: PLC0415 - only for a misspelt name

    names = [template.name for template in _TEMPLATES]
    raise UsageError.of(
        usage.BAD_OPTION, f"there is no template {name!r}", did_you_mean(name, names)
    )
