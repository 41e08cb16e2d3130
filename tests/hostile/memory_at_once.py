"""Takes 8 GB in one piece."""
import numpy as np

print("TRIED")
block = np.ones(10**9)
print("FOUND", block.nbytes, "bytes")
