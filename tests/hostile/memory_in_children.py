"""Spreads 1.2 GB over children, each below any limit and closed to whoever wants to look."""
import ctypes
import os
import time

PR_SET_DUMPABLE = 4
CHILDREN, EACH = 8, 150 * 2**20
libc = ctypes.CDLL(None)
ready, tell = os.pipe()
print("TRIED", flush=True)
for _ in range(CHILDREN):
    if os.fork() == 0:
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        held = bytearray(b"x") * EACH
        os.write(tell, b"x")
        time.sleep(10**6)
told = b""
while len(told) < CHILDREN:
    told += os.read(ready, 1)
time.sleep(1)
print("FOUND room for", CHILDREN * EACH)
