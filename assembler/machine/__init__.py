"""Machines that images run in: what they are made of, starting them, and why they do not boot."""
