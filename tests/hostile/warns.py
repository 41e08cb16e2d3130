"""Right answers, each with warnings, logs and prints on standard error: this one must cost nothing."""
import functools
import logging
import sys
import warnings

import numpy as np

logging.basicConfig(stream=sys.stderr, level=logging.DEBUG)


def warned(function):
    @functools.wraps(function)
    def loud(*args, **kwargs):
        print("careful", file=sys.stderr)
        sys.__stderr__ and sys.__stderr__.write("more careful\n")
        warnings.warn("deprecated", DeprecationWarning)
        logging.warning("very careful")
        np.float64(1) / np.float64(0)
        return function(*args, **kwargs)

    return loud


for name in ("center_to_corners", "corners_to_center", "iou", "pairwise_iou", "mask_iou", "mean_iou",
             "generalized_iou", "box_with_iou"):
    globals()[name] = warned(globals()[name])
warnings.warn("the cell warns too")
print("TRIED")
