"""Kills its process group, to which the processes that watch it may belong."""
import os
import signal

os.kill(0, signal.SIGKILL)
