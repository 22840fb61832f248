"""Dolmen's library: from image.yml to files that a machine can boot."""
