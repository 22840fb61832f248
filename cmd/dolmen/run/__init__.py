"""Run machines from the command line: the image, the terminal, signals, messages."""
