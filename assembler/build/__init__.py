"""A build from arguments to outputs: the only place that knows every stage.

Request                     what is asked for
prepare(request, inputs)    YAML and images -> Prepared: the plan, and what it was made from
build(request, prepared)    the plan -> files, whole or not at all -> Result
"""

from assembler.build.request import Request, SbomRequest, Supply

__all__ = ["Request", "SbomRequest", "Supply"]
