"""A function that takes up to 3 GB of memory in small pieces."""


def box_with_iou(box, target):
    kept = []
    for _ in range(3_000):
        kept.append(bytearray(b"x") * 10**6)
    return box
