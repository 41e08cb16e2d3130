"""Takes a name that is not text, for whoever reads the list of processes, and outlives its parent."""
import ctypes
import os
import time

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
libc = ctypes.CDLL(None)
for name in (b"a\nb) R 0 0 0", b"\xff\xfe) Z \xff"):
    if os.fork() == 0:
        libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
        libc.prctl(PR_SET_NAME, name, 0, 0, 0)
        time.sleep(10**6)
libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
libc.prctl(PR_SET_NAME, b"\xff\xfe) Z \xff", 0, 0, 0)
time.sleep(0.5)
print("TRIED")


def box_with_iou(box, target):
    while True:
        pass
