"""What a system is made of: one SPDX document joined from those attached to its images.

join(laid_out, library, created)   the document as bytes, and what was left out of it
"""

from assembler.sbom.attached import Library
from assembler.sbom.joining import DEFAULT_NAME, Joined, join

__all__ = ["DEFAULT_NAME", "Joined", "Library", "join"]
