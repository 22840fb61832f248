"""The archive engine in Python, for machines without apt.

`downloads` reads the files of an archive, `release` parses its Release file, `signatures` verifies
it, `index_updates` brings the Packages files, `index` finds packages in them, `resolver` resolves
dependencies as apt does, and `python_engine` is the engine.
"""
