"""A function that never returns."""


def box_with_iou(box, target):
    while True:
        pass
