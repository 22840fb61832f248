"""The commands, one module each; dolmen.app has the table."""
