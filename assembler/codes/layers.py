"""Codes of the stage "layers": the content of an image's layers."""

from assembler.codes import Code

BROKEN_LAYER = Code(
    401,
    "A layer of an image is broken or hostile",
    "A layer is a tar archive, uncompressed or compressed with gzip or zstd. Dolmen reads it "
    "strictly: a truncated stream, a wrong checksum, data after the end, a path outside of the "
    "root directory, or far more content than the compressed size can hold are errors. If `dolmen "
    "cache verify` accepts the blob, build the image again.",
)
PATH_CONFLICT = Code(
    402,
    "An image has a link, directory or device in the place of a generated file",
    "Dolmen replaces etc/hosts and, in containers, etc/resolv.conf by standard files. If the image "
    "has a link, a directory or a device there, replacing it could change files elsewhere. Remove "
    "the path from the image.",
)
IMAGE_TOO_LARGE = Code(
    404,
    "An image is larger than the limit",
    "A few bytes can grow to terabytes when they are decompressed. The limit holds for all layers "
    "of an image together, uncompressed, and before a pull for their stored size. If the image is "
    "meant to be so large, use `--max-image-size SIZE` or DOLMEN_MAX_IMAGE_SIZE.",
)
NOT_AN_ARCHIVE = Code(
    403,
    "A file in an image is not a tar archive",
    "The modules of a kernel image are an uncompressed tar archive; the layer around it is "
    "compressed.",
)
