"""Takes up to 3 GB of memory in small pieces, and begins again where that is refused."""
print("TRIED", flush=True)
for _ in range(3):
    kept = []
    try:
        for _ in range(3_000):
            kept.append(bytearray(b"x") * 10**6)
        print("FOUND", len(kept), "MB")
    except MemoryError:
        kept.clear()
