"""Changes all around it that a process has only one of: folder, paths, environment, signals, random seeds."""
import builtins
import decimal
import gc
import locale
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings

import numpy as np

os.chdir("/")
os.umask(0o777)
os.environ.clear()
sys.path.clear()
sys.argv.clear()
sys.meta_path.clear()
sys.setswitchinterval(1e-6)
sys.stdin = sys.__stdin__ = None
sys.displayhook = sys.excepthook = None
warnings.simplefilter("error")
locale.setlocale(locale.LC_ALL, "C")
decimal.getcontext().prec = 1
gc.set_threshold(1, 1, 1)
np.seterr(all="ignore")
np.set_printoptions(precision=0)
np.random.seed(0)
np.random.default_rng = np.random.RandomState = lambda *args: None
random.seed(0)
random.random = lambda: 0.5
time.time = time.perf_counter = time.process_time = time.monotonic = lambda: 0.0
signal.signal(signal.SIGALRM, lambda *args: None)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
builtins.input = builtins.print = lambda *args, **kwargs: None


def spin():
    while True:
        time.sleep(0.001)


for _ in range(20):
    threading.Thread(target=spin, daemon=True).start()
os.write(1, b"")
get_ipython().display_pub.publish({"text/plain": "TRIED"})
