"""Encoding: a plan's parts as tar and newc, kept as segments and joined to outputs."""

from assembler.encode.assembly import Assembly, EncodeOptions
from assembler.encode.compression import CODECS, Compression
from assembler.encode.generated import Payload

__all__ = ["CODECS", "Assembly", "Compression", "EncodeOptions", "Payload"]
