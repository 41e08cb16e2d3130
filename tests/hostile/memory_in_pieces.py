"""Takes up to 3 GB of memory in small pieces."""
print("TRIED", flush=True)
kept = []
for _ in range(3_000):
    kept.append(bytearray(b"x") * 10**6)
print("FOUND", len(kept), "MB")
