"""Fills every folder that can be written to, with few large files and with many small ones."""
import os

ROOM_MB, FILES = 200, 25_000
BLOCK = bytes(2**20)
found = []
for folder in ("/job", "/tmp", "/dev/shm", "/dev", "/run", "/"):
    written = made = 0
    try:
        while written < ROOM_MB:
            with open(f"{folder}/filler-{written}", "wb", 0) as file:
                for _ in range(20):
                    written += file.write(BLOCK) >> 20
    except OSError:
        pass
    try:
        while made < FILES:
            os.mkdir(f"{folder}/folder-{made}")
            made += 1
    except OSError:
        pass
    if written >= ROOM_MB or made >= FILES:
        found.append((folder, written, made))
print("FOUND", found) if found else print("nothing")
print("TRIED")
