"""Makes the generated documents: the references of keys and commands, and the list of codes.

python docs/generate.py            writes them
python docs/generate.py --check    exits with 1 if one of them is stale
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from assembler import codes
from assembler.catalog import catalog_directory, catalog_entries
from assembler.config import expected_type, flow_yaml, load_schema, resolve_reference
from assembler.packages import package_privileges, read_package
from dolmen.app import app
from dolmen.setting_table import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).resolve().parent
_NOTE = "<!-- Made by `make docs`; changes belong in {source}. -->"
_WIDTH = 100
_STAGES = {
    "config": "YAML files",
    "images": "Images and the store",
    "registries": "Registries",
    "layers": "Layers",
    "rootfs": "Laying the system out",
    "output": "Outputs",
    "packages": "Packages",
    "host": "This machine",
    "usage": "The command line",
    "machine": "Running images",
    "measurement": "What machines measure into a TPM",
}


def documents() -> dict[Path, str]:
    """Return the text of every generated document."""
    return {
        _HERE / "reference-yaml.md": reference(),
        _HERE / "errors.md": errors(),
        _HERE / "commands.md": commands(),
        _HERE / "catalogue.md": catalogue(),
        _HERE / "configuration.md": configuration(),
    }


def commands() -> str:
    """Return the help of every command."""
    lines = [
        "# Commands",
        "",
        _NOTE.format(source="cmd/dolmen/commands/"),
        "",
        *_wrapped(
            "What `dolmen COMMAND --help` prints. The options of `dolmen` itself may stand "
            "anywhere, as in LinuxKit: `dolmen build --cache DIR image.yml`. Data goes to "
            "standard output, everything else to standard error. Exit codes: 0 done, 1 an error "
            "that was explained, 2 a command line that makes no sense, 130 interrupted, 143 "
            "terminated."
        ),
    ]
    for name, text in command_helps("dolmen", typer.main.get_command(app)):
        lines += ["", f"## {name}", "", "```", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def catalogue() -> str:
    """Return the packages that Dolmen brings, with their privileges and examples."""
    lines = [
        "# Catalogue",
        "",
        _NOTE.format(source="assembler/catalog/entries.py"),
        "",
        *_wrapped(
            "The packages that Dolmen brings; `@dolmen:NAME` names one wherever Dolmen is "
            "installed, and `dolmen pkg show NAME` prints what stands here with its options. Each "
            "has a test that boots it. The last column is the LinuxKit package that it replaces: "
            "it accepts the same commands, options and paths, so in an image.yml written for "
            "LinuxKit only the image names change."
        ),
        "",
        "| package | goes into | purpose | replaces |",
        "|---|---|---|---|",
    ]
    for entry in catalog_entries():
        replaced = f"`{entry.replaces}`" if entry.replaces else ""
        anchor = entry.name.replace(".", "")
        link = f"[{entry.name}](#{anchor})"
        lines.append(f"| {link} | {entry.place} | {entry.purpose} | {replaced} |")
    for entry in catalog_entries():
        directory = catalog_directory(entry.name)
        about = directory / "README.md"
        page = about if about.is_file() else directory / "build.yml"
        path = page.relative_to(_HERE.parent).as_posix()
        privileges = package_privileges(read_package(directory).build.label)
        lines += ["", f"## {entry.name}", "", f"{entry.purpose[0].upper()}{entry.purpose[1:]}."]
        lines[-1] += f" Details are in [{path}](../{path})."
        if privileges:
            lines += ["", *_wrapped(f"Privileges: {'; '.join(privileges)}.")]
        kind = "yaml" if ":\n" in entry.example or "image: " in entry.example else ""
        lines += ["", f"```{kind}", *entry.example.splitlines(), "```"]
    return "\n".join(lines) + "\n"


def command_helps(name: str, command: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - typer's own
    """Yield the help of a command and of all below it, as it looks on 100 columns."""
    with command.make_context(
        name, [], resilient_parsing=True, terminal_width=100, max_content_width=100
    ) as context:
        yield name, command.get_help(context)
        for child in getattr(command, "commands", {}):
            _, loaded, _ = command.resolve_command(context, [child])
            if not loaded.hidden:
                yield from command_helps(f"{name} {child}", loaded)


_CONFIGURATION = """\
# Configuration

{note}

A setting is taken from the first of these that has it:

1. an option of the command line
2. an environment variable; an empty one is not set
3. the configuration file
4. its default

`dolmen config` shows all settings with their values, and where these come from, `dolmen config KEY`
one value; `--json` is for programs. The library ([library.md](library.md)) reads neither variables
nor file.

## The file

`~/.config/dolmen/config.toml`; in `$XDG_CONFIG_HOME` if that is set. `DOLMEN_CONFIG` names another
file, `DOLMEN_CONFIG=/dev/null` none; `dolmen config --path` prints the path. It is
[TOML](https://toml.io):

```toml
cache = "/srv/dolmen"
debian.mirror = "https://mirror.example.com/debian"

[registries]
mirrors = ["docker.io=https://mirror.example.com"]
cert-files = "company-ca.pem"
```

Relative paths are relative to the file; `~/` is the home directory. Where a list is expected, a
text is its only item. Unknown keys and wrong types are errors (DM0904), shown with their place.
Commands that need no settings, such as `dolmen version`, do not read the file.

A file that belongs to another user than you and root, or that everyone may write to, is refused: it
names keyrings and builders. `DOLMEN_CONFIG` may name such a file.

Secrets do not belong in the file. Credentials of registries are in Docker's `config.json` or in
`DOLMEN_REGISTRY_CREDS` ([registries.md](registries.md)), the passphrase of a Secure Boot key in
`DOLMEN_SECURE_BOOT_PASSPHRASE`.

## Settings
"""


def configuration() -> str:
    """Return the description of the configuration file, with the table of settings."""
    lines = [
        _CONFIGURATION.format(note=_NOTE.format(source="cmd/dolmen/setting_table.py")),
        "| key | type | option | environment variables | meaning |",
        "|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        variables = " ".join(f"`{name}`" for name in setting.variables) or "-"
        kind = "one of " + ", ".join(f"`{c}`" for c in setting.choices)
        kind = kind if setting.choices else str(setting.kind)
        default = f" Default: `{setting.default}`." if setting.default else ""
        lines.append(
            f"| `{setting.key}` | {kind} | `{setting.option}` | {variables} "
            f"| {setting.summary}{default} |"
        )
    return "\n".join(lines) + "\n"


def errors() -> str:
    """Return the list of codes with their explanations."""
    lines = [
        "# Errors",
        "",
        _NOTE.format(source="assembler/codes/"),
        "",
        *_wrapped(
            "Every error and warning has a code, which never changes its meaning. "
            "`dolmen explain DM0114` prints what stands here; `dolmen explain volume` finds the "
            "codes that speak of volumes."
        ),
    ]
    by_stage: dict[str, list[codes.Code]] = {stage: [] for stage in codes.STAGES}
    for code in codes.all_codes().values():
        by_stage[codes.STAGES[_stage(code)]].append(code)
    for stage, members in by_stage.items():
        if members:
            lines += ["", f"## {_STAGES[stage]}"]
        for code in members:
            lines += ["", f"### {code}: {code.title}", "", *_wrapped(code.explanation)]
    return "\n".join(lines) + "\n"


def _stage(code: codes.Code) -> int:
    """Return the index of a code's stage: two hundreds for the first, one for each other."""
    return max(0, code.number // 100 - 1)


def reference() -> str:
    """Return the reference of all keys of image.yml and build.yml."""
    lines = [
        "# Reference: image.yml and build.yml",
        "",
        _NOTE.format(source="schema/"),
        "",
        *_wrapped(
            "All keys, made from the schemas that also check the files and complete keys in "
            "editors (`dolmen schema --path` says where they are). Keys are optional unless they "
            "are called mandatory. A text that looks like a number, `0644` or `1`, needs quotes."
        ),
    ]
    described: set[str] = set()
    for kind in ("image", "build"):
        whole = load_schema(kind)
        lines += ["", f"## {whole['title']}", *_part(kind, whole)]
        for piece, names in _objects(kind, whole):
            if piece["title"] in described:
                continue
            described.add(piece["title"])
            places = ", ".join(f"`{name}`" for name in names)
            lines += ["", f"### {piece['title']} ({places})", *_part(kind, piece)]
    return "\n".join(lines) + "\n"


def _part(kind: str, piece: dict[str, Any]) -> list[str]:
    lines = ["", *_wrapped(piece["description"]), ""]
    if "name" not in piece["properties"] and "capabilities" in piece["properties"]:
        lines += [
            "Its keys are those of a [container](#container-onboot-onshutdown-services) above."
        ]
    else:
        lines += _table(kind, piece)
    return [*lines, "", "```yaml", *_block(piece["examples"][0]), "```"]


def _objects(kind: str, whole: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield every part that has keys of its own, once, and what leads to it."""
    found: dict[int, tuple[dict[str, Any], list[str]]] = {}

    def look(name: str, piece: dict[str, Any]) -> None:
        piece = _inner(kind, piece)
        if "properties" not in piece:
            return
        known = id(piece) in found
        found.setdefault(id(piece), (piece, []))[1].append(name)
        if not known:
            # What is inside a container is called by its path from there.
            is_container = {"capabilities", "binds"} <= piece["properties"].keys()
            for key, value in piece["properties"].items():
                look(key if is_container else f"{name}.{key}", value)

    for key, value in whole["properties"].items():
        look(key, value)
    yield from found.values()


def _inner(kind: str, piece: dict[str, Any]) -> dict[str, Any]:
    piece = resolve_reference(kind, piece)
    return resolve_reference(kind, piece["items"]) if piece.get("type") == "array" else piece


def _table(kind: str, piece: dict[str, Any]) -> list[str]:
    lines = ["| key | type | meaning |", "|---|---|---|"]
    mandatory = piece.get("required", [])
    for key, value in piece["properties"].items():
        found = resolve_reference(kind, value)
        meaning = found["description"]
        if key in mandatory:
            meaning = "**Mandatory.** " + meaning
        if "enum" in found:
            meaning += " One of " + ", ".join(f"`{v}`" for v in found["enum"]) + "."
        if "default" in found:
            meaning += f" Default: `{flow_yaml(found['default'])}`."
        examples = found.get("examples", [])
        if examples and found.get("type") not in ("object", "boolean") and "enum" not in found:
            meaning += " Example: " + ", ".join(f"`{flow_yaml(e)}`" for e in examples[:2]) + "."
        kind_of_value = expected_type(kind, found) if found.get("type") != "object" else "a mapping"
        lines.append(f"| `{key}` | {kind_of_value} | {meaning.replace('|', '&#124;')} |")
    return lines


def _block(data: object, indent: str = "") -> list[str]:
    """Return an example as YAML of a readable shape: keys one below the other, leaves in a line."""
    if not isinstance(data, dict):
        return [indent + flow_yaml(data)]
    lines = []
    for key, value in data.items():
        nested = isinstance(value, dict) and any(isinstance(v, dict | list) for v in value.values())
        if nested:
            lines += [f"{indent}{key}:", *_block(value, indent + "  ")]
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            lines += [f"{indent}{key}:", *[f"{indent}  - {flow_yaml(v)}" for v in value]]
        else:
            lines.append(f"{indent}{key}: {flow_yaml(value)}")
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def main() -> int:
    """Write the documents, or tell which are stale."""
    stale = [
        path
        for path, text in documents().items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.name} is stale: run `make docs`\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(documents()[path], "utf-8")
        sys.stdout.write(f"wrote {path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
