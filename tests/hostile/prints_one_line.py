"""Prints 1 GB without the end of a line."""
print("TRIED", flush=True)
block = "x" * 10**6
for _ in range(1_000):
    print(block, end="")
