"""Takes from a child process what only Linux has; loaded through PYTHONPATH.

Calls that macOS or an old kernel lacks are missing, /proc and /sys are empty, and `sys.platform` is
that of macOS.
"""

import builtins
import errno
import io
import os
import select
import signal
import socket
import sys
import types
from typing import Any

_CALLS = (
    *("copy_file_range", "sendfile", "splice", "memfd_create", "eventfd", "pidfd_open"),
    *("posix_fadvise", "posix_fallocate", "fdatasync", "pipe2", "sched_getaffinity"),
    *("sched_setaffinity", "getrandom", "unshare", "setns", "setresuid", "setresgid"),
    *("getxattr", "setxattr", "listxattr", "removexattr", "syncfs"),
    *("O_TMPFILE", "O_PATH", "O_DIRECT", "O_NOATIME", "SEEK_HOLE", "SEEK_DATA"),
)
_OTHERS = (
    (select, ("epoll",)),
    (signal, ("pidfd_send_signal", "sigtimedwait", "sigwaitinfo")),
    (socket, ("AF_NETLINK", "AF_VSOCK", "AF_PACKET", "SOCK_CLOEXEC", "SOCK_NONBLOCK")),
)
_HIDDEN = ("/proc", "/sys", "/dev/shm")


def _hide(module: Any, name: str) -> None:
    call = getattr(module, name)

    def checked(*arguments: Any, **options: Any) -> Any:
        path = arguments[0] if arguments else None
        if isinstance(path, str | bytes | os.PathLike):
            text = os.fsdecode(path)
            if text in _HIDDEN or text.startswith(tuple(f"{h}/" for h in _HIDDEN)):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
        return call(*arguments, **options)

    setattr(module, name, checked)


for _name in _CALLS:
    if hasattr(os, _name):
        delattr(os, _name)
for _module, _names in _OTHERS:
    for _name in _names:
        if hasattr(_module, _name):
            delattr(_module, _name)
for _name in ("open", "stat", "lstat", "listdir", "scandir", "readlink", "link", "access"):
    _hide(os, _name)
_hide(io, "open")
builtins.open = io.open
# The standard library asks macOS for proxies.
_scproxy = types.ModuleType("_scproxy")
_scproxy._get_proxies = _scproxy._get_proxy_settings = dict
sys.modules["_scproxy"] = _scproxy
sys.platform = "darwin"
