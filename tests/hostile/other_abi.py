"""Makes a system call by the numbers of another machine's, which a filter might not know."""
import ctypes

print("TRIED")
libc = ctypes.CDLL(None)
X32_SOCKET = 0x40000000 | 41
if libc.syscall(X32_SOCKET, 1, 1, 0) >= 0:
    print("FOUND a socket")
