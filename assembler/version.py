"""The version of Dolmen, and of the rules by which it lays out a system."""

__version__ = "0.1.0"
