"""Leaves processes behind that ignore signals, left its group and session, and have another parent."""
import os
import signal
import time

SLEEP = "271828182"  # seconds, and what the sleepers are known by

for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
        if os.fork() == 0:
            os.execv("/usr/bin/sleep", ["sleep", SLEEP])
        if os.fork() == 0:
            time.sleep(int(SLEEP))
        os._exit(0)
time.sleep(0.2)
print("TRIED")
