"""Running machines from the command line: options, the terminal, waiting, what is said."""
