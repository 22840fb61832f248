"""The plan of a system: which parts, from which images, go where, in which order.

references(config)                  every image needed, before anything is fetched
make_plan(config, resolved, options)  the plan; everything wrong at once
laid_out(plan)                      images and prefixes, for SBOM and reports
with_file(plan, path, content)      the plan with one more file at the end
"""

from assembler.rootfs.needs import Need, Role, references
from assembler.rootfs.options import PlanOptions, Resolved
from assembler.rootfs.planning import laid_out, make_plan, with_file

__all__ = [
    "Need",
    "PlanOptions",
    "Resolved",
    "Role",
    "laid_out",
    "make_plan",
    "references",
    "with_file",
]
