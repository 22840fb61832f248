"""The system calls of `seccomp: default`: what container engines allow, grouped by their use.

A call is allowed, or allowed with a capability, or refused with EPERM, since programs expect that
of a call that needs a privilege. Any other call, such as one of a later kernel, gives ENOSYS, so
that libraries use the older call instead of it. Names that an architecture lacks have no effect.
"""

from __future__ import annotations

FILES = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
    faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2
    fchown fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs
    fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown
    lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat
    name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64
    pwritev pwritev2 read readahead readdir readlink readlinkat readv rename renameat renameat2
    rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync
    sync_file_range sync_file_range2 syncfs tee truncate truncate64 umask unlink unlinkat utime
    utimensat utimensat_time64 utimes vmsplice write writev
"""
ATTRIBUTES = """
    fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr
    listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
"""
EVENTS = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64
    io_setup io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select
    signalfd signalfd4
"""
MEMORY = """
    brk cachestat get_mempolicy madvise map_shadow_stack membarrier memfd_create memfd_secret
    mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall
    munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
"""
PROCESSES = """
    capget capset execve execveat exit exit_group fork getcpu getegid getegid32 geteuid
    geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority
    getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid
    getuid32 ioprio_get ioprio_set landlock_add_rule landlock_create_ruleset
    landlock_restrict_self pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv
    process_vm_writev ptrace rseq sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid
    setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32
    setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 sysinfo times
    ugetrlimit uname vfork wait4 waitid waitpid
"""
SIGNALS = """
    alarm kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sigaction sigaltstack signal sigpending sigprocmask sigreturn sigsuspend tgkill tkill
"""
THREADS = """
    futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list
    get_thread_area set_robust_list set_thread_area set_tid_address
"""
MESSAGES = """
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
    semtimedop_time64 shmat shmctl shmdt shmget
"""
SOCKETS = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall
    socketpair
"""
# Reading clocks; adjtimex and clock_adjtime change them only with CAP_SYS_TIME.
TIME = """
    adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday
    nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64
"""
ALLOWED = (
    *(FILES, ATTRIBUTES, EVENTS, MEMORY, PROCESSES, SIGNALS, THREADS, MESSAGES, SOCKETS),
    TIME,
)
BY_ARCHITECTURE = {
    "amd64": "arch_prctl modify_ldt",
    "386": "arch_prctl modify_ldt",
    "arm": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls",
    "arm64": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls",
    "ppc64le": "swapcontext",
    "riscv64": "riscv_flush_icache riscv_hwprobe",
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
}
BY_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": """
        bpf fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie
        mount mount_setattr move_mount open_tree perf_event_open pivot_root quotactl quotactl_fd
        setdomainname sethostname setns statmount syslog umount umount2 unshare
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}
# Refused to every container: keys of the kernel know no containers, and the others change the
# whole system, are old, or had too many errors.
REFUSED = """
    add_key keyctl request_key
    kexec_file_load kexec_load migrate_pages move_pages nfsservctl swapoff swapon userfaultfd
    io_uring_enter io_uring_register io_uring_setup
    bdflush create_module get_kernel_syms query_module sysfs _sysctl uselib ustat vm86 vm86old
"""
# The flags of clone(2) that make namespaces; clone3(2) hides its flags from a filter.
NAMESPACE_FLAGS = 0x7E020000
# Execution domains of personality(2): Linux, without randomization or not, 32 bits, and a query.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# AF_VSOCK: its sockets reach the host of a virtual machine, past networks and namespaces.
REFUSED_FAMILY = 40
