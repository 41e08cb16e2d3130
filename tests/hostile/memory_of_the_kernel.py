"""Has the kernel keep 600 MB of page tables for memory that it never writes to."""
import mmap
import time

NO_RESERVE, TABLES = 0x4000, 600 * 2**20
SPAN = TABLES // mmap.PAGESIZE * 2**21  # a page of tables for every 2 MB
print("TRIED", flush=True)
nothing = mmap.mmap(-1, SPAN, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE, prot=mmap.PROT_READ)
for place in range(0, SPAN, 2**21):
    nothing[place]
time.sleep(0.3)
print("FOUND room for", TABLES)
