"""A function that takes every interrupt for a reason to begin again."""


def box_with_iou(box, target):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
