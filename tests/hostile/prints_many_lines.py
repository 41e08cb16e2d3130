"""Prints lines without end."""
print("TRIED", flush=True)
while True:
    print("another line")
