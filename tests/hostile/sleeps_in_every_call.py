"""Functions that take long, but never as long as one call may, so that only their sum is too much."""
import time


def slowly(function):
    def slow(*args, **kwargs):
        time.sleep(0.4)
        return function(*args, **kwargs)

    return slow


for name in ("center_to_corners", "corners_to_center", "iou", "pairwise_iou", "mask_iou", "mean_iou",
             "generalized_iou", "box_with_iou"):
    globals()[name] = slowly(globals()[name])
print("TRIED")
