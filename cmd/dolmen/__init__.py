"""Dolmen's command line: options, progress and printing around the library `assembler`."""
