"""Holds up to 1 GB that no process maps: files in memory, and shared pages that it lets go of."""
import mmap
import os
import time

ROOM, BLOCK = 2**30, bytes(2**20)
kept = []


def in_files():
    """Write to files without a name, each below the limit of a file's size."""
    held = 0
    while held < ROOM:
        kept.append(os.memfd_create("held"))
        try:
            for _ in range(60):
                held += os.write(kept[-1], BLOCK)
        except OSError:  # a file may not be larger
            pass
    return held


def in_shared_pages(descriptor=-1):
    """Fill shared memory and forget its pages, which stay where they are until the map goes."""
    held = 0
    while held < ROOM:
        kept.append(mmap.mmap(descriptor, 2**25))
        for place in range(0, 2**25, mmap.PAGESIZE):
            kept[-1][place] = 1
        kept[-1].madvise(mmap.MADV_DONTNEED)
        held += 2**25
    return held


def in_zeros():
    return in_shared_pages(os.open("/dev/zero", os.O_RDWR))


print("TRIED", flush=True)
for hold in (in_files, in_shared_pages, in_zeros):
    try:
        held = hold()
        time.sleep(0.3)  # for whoever counts
        print("FOUND room for", held, hold.__name__)
    except (OSError, MemoryError):
        pass
    for thing in kept:
        os.close(thing) if isinstance(thing, int) else thing.close()
    kept.clear()
