"""The values of switches in Go's syntax."""

from __future__ import annotations

# Those that Go's flags accept.
TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
