"""Detect programs that an interpreter runs: Python, Node.js and scripts."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from assembler.scaffold.program import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.scaffold.program import ProgramDirectory

_PYTHON_PORTS = (
    r"port\s*=\s*(\d{2,5})\b",
    r"\(\s*[\"'][\w.:]*[\"']\s*,\s*(\d{2,5})\s*\)",
)
_NODE_PORTS = (r"\.listen\(\s*(\d{2,5})\b", r"(?i)port\s*(?:=|\|\||\?\?)\s*(\d{2,5})\b")
_SHELL_PORTS = (r"(?:httpd|nc)\b.*\s-p\s*(\d{2,5})\b",)
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)", re.MULTILINE)
_SHEBANG = re.compile(r"#!\s*(?:\S*/env\s+(?:-S\s*)?)?(?:\S*/)?([a-z]+)")
_INTERPRETERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sh": ("/usr/bin/sh", ("dash",)),
    "dash": ("/usr/bin/dash", ("dash",)),
    "bash": ("/usr/bin/bash", ("bash",)),
    "perl": ("/usr/bin/perl", ("perl",)),
    "python": ("/usr/bin/python3", ("python3",)),
    "node": ("/usr/bin/node", ("nodejs",)),
}
_SHELLS = ("sh", "dash", "bash")
# What most scripts use.
_SHELL_TOOLS = ("coreutils", "grep", "mawk", "sed")
# Other commands, and the Debian packages that have them.
_TOOLS = {
    "busybox": ("busybox-static",),
    "curl": ("curl", "ca-certificates"),
    "find": ("findutils",),
    "gzip": ("gzip",),
    "ip": ("iproute2",),
    "jq": ("jq",),
    "nc": ("netcat-openbsd",),
    "openssl": ("openssl",),
    "ps": ("procps",),
    "python3": ("python3",),
    "socat": ("socat",),
    "tar": ("tar",),
    "wget": ("wget", "ca-certificates"),
}


def detect_python(directory: ProgramDirectory) -> Program | None:
    """Return a program in Python: a file, or a package with a `__main__.py`."""
    name = directory.preferred(directory.files(".py"))
    packages = [n for n in directory.names if directory.has(f"{n}/__main__.py")]
    words: tuple[str, ...]
    if directory.has("__main__.py"):
        name, words = "__main__.py", (f"/opt/{directory.name}",)
    elif name:
        words = (f"/opt/{directory.name}/{name}",)
    elif packages:
        module = directory.preferred(packages) or packages[0]
        name, words = f"{module}/__main__.py", ("-m", module)
    else:
        return None
    return Program(
        f"a program in Python ({name})",
        ("/usr/bin/python3", "-u", *words),
        ("python3",),
        sources=directory.names,
        port=directory.find_port(".py", *_PYTHON_PORTS),
        missing=_python_needs(directory),
    )


def _python_needs(directory: ProgramDirectory) -> tuple[str, ...]:
    needed = _REQUIREMENT.findall(directory.text("requirements.txt"))
    if needed:
        named = ", ".join(f"python3-{name.lower()}" for name in needed[:5])
        return (
            f"the Debian packages of requirements.txt, such as {named}: add them to `packages`",
        )
    if re.search(r"^dependencies\s*=\s*\[\s*[\"']", directory.text("pyproject.toml"), re.MULTILINE):
        return ("the Debian packages of the dependencies in pyproject.toml",)
    return ()


def detect_node(directory: ProgramDirectory) -> Program | None:
    """Return a program for Node.js."""
    if not directory.has("package.json"):
        return None
    try:
        description: Any = json.loads(directory.text("package.json"))
    except ValueError:
        description = {}
    if not isinstance(description, dict):
        description = {}
    name = _node_file(directory, description)
    if not name:
        return None
    missing = []
    if description.get("dependencies") and "node_modules" not in directory.names:
        missing.append("node_modules: run npm install --omit=dev, then `dolmen new` again")
    return Program(
        f"a program for Node.js (package.json, {name})",
        ("/usr/bin/node", f"/opt/{directory.name}/{name}"),
        ("nodejs",),
        sources=directory.names,
        port=directory.find_port("js", *_NODE_PORTS),
        missing=tuple(missing),
    )


def _node_file(directory: ProgramDirectory, description: dict[str, Any]) -> str:
    """Return the file that npm start runs, else the main file."""
    scripts = description.get("scripts")
    start = scripts.get("start") if isinstance(scripts, dict) else None
    words = shlex.split(start) if isinstance(start, str) and "'" not in start else []
    candidates = [
        words[1] if len(words) == 2 and words[0] == "node" else "",
        description.get("main"),
    ]
    for name in (*candidates, "index.js", "server.js", "main.js", "app.js"):
        if isinstance(name, str) and name and directory.has(name):
            return name.removeprefix("./")
    return ""


def detect_script(directory: ProgramDirectory) -> Program | None:
    """Return a script: a file that can be executed and names its interpreter, or *.sh."""
    found = {}
    for name in directory.names:
        if interpreter := _interpreter(directory, name):
            found[name] = interpreter
    name = directory.preferred(found)
    if not name:
        return None
    program, packages = _INTERPRETERS[found[name]]
    text = directory.text(name)
    is_shell = found[name] in _SHELLS
    if is_shell:
        words = set(re.findall(r"[\w.-]+", re.sub(r"(?m)#.*$", "", text)))
        tools = [package for tool, needed in _TOOLS.items() if tool in words for package in needed]
        packages = tuple(dict.fromkeys((*packages, *_SHELL_TOOLS, *tools)))
    return Program(
        f"a script for {found[name]} ({name})",
        (program, f"/opt/{directory.name}/{name}"),
        packages,
        sources=directory.names,
        links={"/usr/bin/awk": "mawk"} if is_shell else {},
        port=directory.find_port(name, *_SHELL_PORTS),
        missing=("commands of unusual Debian packages: add them to `packages`",)
        if is_shell
        else (),
    )


def _interpreter(directory: ProgramDirectory, name: str) -> str:
    """Return the interpreter of a script, or an empty text."""
    path = directory.path / name
    if not path.is_file() or not (path.stat().st_mode & 0o100 or name.endswith(".sh")):
        return ""
    found = _SHEBANG.match(directory.text(name))
    interpreter = found[1] if found else "sh" if name.endswith(".sh") else ""
    return interpreter if interpreter in _INTERPRETERS else ""
