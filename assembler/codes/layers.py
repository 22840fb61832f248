"""Codes of the stage "layers": what is inside an image's layers."""

from assembler.codes import Code

BROKEN = Code(
    401,
    "A layer of an image is broken or hostile",
    "A layer is a tar archive, compressed with gzip, zstd or not at all. Dolmen reads it "
    "strictly: a stream that is cut off, a wrong checksum, something behind the end, a path "
    "that leaves the root directory or far more content than the stored size explains are "
    "errors, never guessed at. If `dolmen cache verify` finds the blob as it should be, the "
    "image itself has to be built anew.",
)
REFUSED = Code(
    402,
    "An image has something where Dolmen puts its own file",
    "etc/hosts and, in containers, etc/resolv.conf are replaced by standard ones. Where an "
    "image has a link, a directory or a device there, the replacement would go astray or tear "
    "the image apart, so the image has to be changed: remove the path in it.",
)
NOT_AN_ARCHIVE = Code(
    403,
    "A file in an image is not the tar archive it should be",
    "The modules of a kernel image are a plain tar archive; it must not be compressed, since "
    "the layer it lies in is compressed already.",
)
