"""Archives of Debian packages read in Python, for machines without apt.

From a mirror to an index: `release` is the signed list of an archive's files, `signatures` says
whether to believe it, `reading` brings files, `index` knows packages by name, `resolving` chooses
among them as apt would, and `engine` puts these together behind the protocol of all engines.
"""
