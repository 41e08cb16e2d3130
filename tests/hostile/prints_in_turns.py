"""Prints to two streams in turns, a letter each, so that no two letters can be joined."""
import sys

print("TRIED", flush=True)
for _ in range(20_000):
    sys.stdout.write("o")
    sys.stderr.write("e")
