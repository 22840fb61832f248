"""Questions about the kernel are answered in a booted machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

limit = pytest.mark.timeout(1800)
pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, limit, needs_qemu]

TRACED = """
onboot:
  - name: begin
    image: "@pkg:ROOT/pkg/bpftrace"
    command: [bpftrace, -e, 'BEGIN { printf("the answer is %d\\n", 6 * 7); exit(); }']
  - name: counts
    image: "@pkg:ROOT/pkg/perf"
    command: [perf, stat, -a, -e, "context-switches,page-faults", sleep, "1"]
services:
  - name: profile
    image: "@pkg:ROOT/pkg/perf"
    command:
      - sh
      - -c
      - >-
        perf record -q -a -e cpu-clock -o /tmp/data sleep 3 &&
        perf report -i /tmp/data --stdio && sleep 1000
  - name: opens
    image: "@pkg:ROOT/pkg/bpftrace"
    command:
      - bpftrace
      - -e
      - >-
        tracepoint:syscalls:sys_enter_openat /comm == "busybox"/
        { printf("%s opens %s\\n", comm, str(args.filename)); }
  - name: types
    image: "@pkg:ROOT/pkg/bpftrace"
    command:
      - bpftrace
      - -e
      - >-
        kprobe:vfs_open { $path = (struct path *)arg0;
        if (str($path->dentry->d_name.name) == "wanted") { printf("wanted was opened\\n"); } }
  - name: opener
    image: SH "while busybox cat /proc/self/oom_score /wanted; do busybox sleep 3; done"
    binds: ["/wanted:/wanted:ro"]
files:
  - path: wanted
    contents: nothing
"""


def test_questions_about_the_kernel_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "traced.yml"
    path.write_text(system(TRACED))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        # LLVM takes a while to start in an emulated machine.
        guest.wait_for(r"init: begin: the answer is 42\n", 300)
        guest.wait_for(r"init: counts: +[0-9.,]+ +context-switches")
        guest.wait_for(r"init: profile: .*\[kernel\.kallsyms\]", 300)
        guest.wait_for(r"init: opens: busybox opens /proc/self/oom_score\n", 300)
        # By a function of the kernel, and its types.
        guest.wait_for(r"init: types: wanted was opened\n", 300)
        assert "failed" not in guest.text()

    boot_and(files, check, memory=2048)
