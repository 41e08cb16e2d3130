"""Waits for something that never comes, which takes no processor time at all."""
import time

time.sleep(10**9)
