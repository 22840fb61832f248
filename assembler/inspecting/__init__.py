"""Looking into files that machines boot: what kind they are, and what they hold.

`inspect` looks at a file by its content, whatever made it. A module of this package knows a family
of kinds; `probes` lists them. All content is taken as hostile: what is broken is told with what was
found up to there, and nothing large is held in memory.
"""

from assembler.inspecting.found import Found
from assembler.inspecting.probes import inspect

__all__ = ["Found", "inspect"]
