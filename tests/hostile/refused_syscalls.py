"""Asks the kernel for what no coursework needs: namespaces, mounts, tracing, keys, programs in the kernel."""
import ctypes
import os
import platform

NUMBERS = {
    "x86_64": {
        "ptrace": 101, "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
        "bpf": 321, "keyctl": 250, "add_key": 248, "request_key": 249, "userfaultfd": 323, "perf_event_open": 298,
        "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_getfd": 438, "io_uring_setup": 425,
        "open_by_handle_at": 304, "open_tree": 428, "move_mount": 429, "fsopen": 430, "mount_setattr": 442,
        "init_module": 175, "kexec_load": 246, "reboot": 169, "swapon": 167, "acct": 163, "syslog": 103,
        "personality": 135, "mknod": 133, "shmget": 29, "msgget": 68, "socket": 41, "sethostname": 170,
        "memfd_secret": 447,
    },
    "aarch64": {
        "ptrace": 117, "unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
        "bpf": 280, "keyctl": 219, "add_key": 217, "request_key": 218, "userfaultfd": 282, "perf_event_open": 241,
        "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "pidfd_getfd": 438, "io_uring_setup": 425,
        "open_by_handle_at": 265, "open_tree": 428, "move_mount": 429, "fsopen": 430, "mount_setattr": 442,
        "init_module": 105, "kexec_load": 104, "reboot": 142, "swapon": 224, "acct": 89, "syslog": 116,
        "personality": 92, "mknodat": 33, "shmget": 194, "msgget": 186, "socket": 198, "sethostname": 161,
        "memfd_secret": 447,
    },
}
CLONE_NEWUSER, SIGCHLD = 0x10000000, 17
REFUSED = {1, 38}  # EPERM; ENOSYS where this kernel has no such call at all
libc = ctypes.CDLL(None, use_errno=True)
found = []
for name, number in NUMBERS[platform.machine()].items():
    first = CLONE_NEWUSER if name == "unshare" else 0
    ctypes.set_errno(0)
    answer = libc.syscall(number, ctypes.c_long(first), 0, 0, 0, 0, 0)
    if answer >= 0 or ctypes.get_errno() not in REFUSED:
        found.append((name, answer, os.strerror(ctypes.get_errno())))
child = libc.syscall({"x86_64": 56, "aarch64": 220}[platform.machine()], ctypes.c_long(CLONE_NEWUSER | SIGCHLD), 0, 0, 0, 0)
if child == 0:
    os._exit(0)
if child > 0:
    found.append("clone with a new user namespace")
for name, ids in {"setuid": (0,), "setgid": (0,), "setgroups": (0, None)}.items():
    if getattr(libc, name)(*ids) == 0:
        found.append(name)
with open("/proc/self/status") as status:
    rights = {line.split()[0]: line.split()[1] for line in status if line.startswith(("Cap", "NoNewPrivs", "Seccomp:"))}
found += [item for item in rights.items() if item[0].startswith("Cap") and int(item[1], 16)]
if (rights["NoNewPrivs:"], rights["Seccomp:"]) != ("1", "2"):
    found.append(rights)
print("FOUND", found) if found else print("nothing")
print("TRIED")
