"""Rounds of faults: Dolmen as whole processes, disturbed at random, then judged by invariants.

`python -m faults` runs them (`make test-faults`). A kind of fault is a module here with the
protocol of `faults.kind`, and a line in `faults.kinds`. docs/reliability.md says what is tried.
"""
