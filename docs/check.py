"""Checks that documents, docstrings and messages are true: python docs/check.py [ROOT].

Names that they mention exist: paths, modules, commands, options, error codes, links. Words that the
glossary retires are not used. `names: ok` or `words: ok` in a comment excuses its line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from checks import check
from checks.known import from_application


def main() -> int:
    """Print all findings; return 1 if there are any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    findings = check(root, from_application())
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    if findings:
        sys.stderr.write(f"{len(findings)} findings in documents and texts\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
