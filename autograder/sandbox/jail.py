"""The walls around one submission, put up by the process that will run it.

Runs inside the outer sandbox, between the fork and the first line of student code: fresh namespaces,
private folders, limits, no capabilities, a system-call filter. Linux only; the ``process`` level takes
just the limits.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_MS_NOSUID_NODEV = 2 | 4
_MS_NOEXEC = 8
_MS_BIND = 0x1000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MAP_SHARED_ANONYMOUS = 0x01 | 0x20

DENIED_SYSCALLS = (
    # reading or steering another process
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "perf_event_open",
    # namespaces and mounts, so that the walls stay where they are
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "name_to_handle_at", "open_by_handle_at",
    # the kernel's keyrings, tracing and asynchronous entries, which no coursework needs
    "keyctl", "add_key", "request_key", "bpf", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register",
    # memory that no process maps, which the watcher can't see
    "memfd_create", "memfd_secret",
    # shared memory and queues that outlive a process
    "shmget", "shmat", "shmctl", "semget", "semop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl",
    # the machine itself
    "reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "swapon",
    "swapoff", "acct", "quotactl", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    "sethostname", "setdomainname", "syslog", "personality", "iopl", "ioperm", "mknod", "mknodat",
    # the network, of which the namespace has none anyway
    "socket", "connect", "bind", "listen", "accept", "accept4",
)  # fmt: skip


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def hide_memory(hidden: bool) -> None:
    """Let nobody of the same user read this process's memory or environment, or allow it again."""
    if sys.platform == "linux":
        _check(_libc().prctl(_PR_SET_DUMPABLE, int(not hidden), 0, 0, 0), "dumpable")


def adopt_orphans() -> None:
    """Make this process the parent of orphaned descendants, so that none escapes its watcher."""
    if sys.platform == "linux":
        _check(_libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper")


def enter_namespaces() -> None:
    """Give this process's children namespaces of their own: user, mounts, pids, ipc, names, network."""
    uid, gid = os.getuid(), os.getgid()
    flags = _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWUTS | _CLONE_NEWNET
    _check(_libc().unshare(flags), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def mount_private_folders(disk_mb: int) -> None:
    """Cover the folders that can be written to with empty ones of a capped size."""
    libc = _libc()
    _check(libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None), "private mounts")
    for folder, size in ((b"/tmp", 64), (b"/dev/shm", 64), (b"/job", disk_mb)):
        options = f"size={size}m,mode=700,nr_inodes=20000".encode()
        _check(libc.mount(b"tmpfs", folder, b"tmpfs", _MS_NOSUID_NODEV, options), folder.decode())
    # Shared pages of /dev/zero stay when a process forgets them, where the watcher can't see them.
    _check(libc.mount(b"/dev/null", b"/dev/zero", None, _MS_BIND, None), "/dev/zero")
    # Where the container masks its own /proc no new one may be mounted; the outer sandbox's stays, in
    # which other submissions show as numbers but, being of another user namespace, can't be touched.
    libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID_NODEV | _MS_NOEXEC, None)


def set_limits(
    *, memory_mb: int | None, processes: int | None, file_mb: int, open_files: int, cpu_seconds: int
) -> None:
    """Set this process's resource limits; children inherit them.

    Args:
        memory_mb: private memory beyond what the warm process already holds, or None for no limit.
        processes: processes and threads of the user, or None where the user has others.
    """
    limits = {
        "RLIMIT_CPU": cpu_seconds,
        "RLIMIT_FSIZE": file_mb * 2**20,
        "RLIMIT_NOFILE": open_files,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }
    if memory_mb is not None:
        limits["RLIMIT_DATA"] = _data_bytes() + memory_mb * 2**20
    if processes is not None:
        limits["RLIMIT_NPROC"] = processes
    for name, value in limits.items():
        if hasattr(resource, name):
            number = getattr(resource, name)
            hard = resource.getrlimit(number)[1]
            wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (wanted, wanted))


def _data_bytes() -> int:
    """Return the bytes of private writable memory that this process already maps."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData")), 0)


def drop_privileges(syscall_filter: Any) -> None:
    """Give up every capability, for good, and the system calls that `syscall_filter` refuses."""
    libc = _libc()
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("<II", _CAPABILITY_VERSION_3, 0)
    _check(libc.capset(header, bytes(24)), "capset")
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    syscall_filter.load()


def build_syscall_filter() -> Any:
    """Return a filter, not loaded yet, that refuses `DENIED_SYSCALLS`, new user namespaces, hidden memory."""
    import pyseccomp as seccomp

    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in DENIED_SYSCALLS:
        try:
            number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
        except ValueError:  # not a system call of this architecture, or newer than this libseccomp
            continue
        rules.add_rule(seccomp.ERRNO(errno.EPERM), number)
    new_user = seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_NEWUSER, _CLONE_NEWUSER)
    rules.add_rule(seccomp.ERRNO(errno.EPERM), "clone", new_user)
    rules.add_rule(
        seccomp.ERRNO(errno.EPERM),
        "mmap",
        seccomp.Arg(3, seccomp.MASKED_EQ, _MAP_SHARED_ANONYMOUS, _MAP_SHARED_ANONYMOUS),
    )
    # It stays its parent's to end, and its watcher's to look into.
    for option in (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE):
        rules.add_rule(seccomp.ERRNO(errno.EPERM), "prctl", seccomp.Arg(0, seccomp.EQ, option))
    # The filter can't look into clone3's arguments; without it the C library falls back on clone.
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    return rules


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process `signal_number` when its parent is gone."""
    if sys.platform == "linux":
        _check(_libc().prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "pdeathsig")
