"""Forks until it is stopped, 300 times at most."""
import os
import time

MOST = 300
made = 0
try:
    while made < MOST:
        if os.fork() == 0:
            time.sleep(10**6)
        made += 1
except OSError:
    pass
print("FOUND room for 300 processes") if made == MOST else print("nothing")
print("TRIED")
