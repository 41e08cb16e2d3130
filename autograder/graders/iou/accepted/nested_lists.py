"""Right answers in plain Python: lists and tuples in, nested lists out; numpy only for the large table."""

import numpy as np


def center_to_corners(boxes):
    return [[x - w / 2, y - h / 2, x + w / 2, y + h / 2] for x, y, w, h in boxes]


def corners_to_center(boxes):
    return [
        ((x_min + x_max) / 2, (y_min + y_max) / 2, x_max - x_min, y_max - y_min)
        for x_min, y_min, x_max, y_max in boxes
    ]


def area(box):
    x_min, y_min, x_max, y_max = box
    if x_min > x_max or y_min > y_max:
        raise ValueError("not a box")
    return (x_max - x_min) * (y_max - y_min)


def intersection(box_a, box_b):
    x_min, y_min = max(box_a[0], box_b[0]), max(box_a[1], box_b[1])
    x_max, y_max = min(box_a[2], box_b[2]), min(box_a[3], box_b[3])
    if x_min >= x_max or y_min >= y_max:
        return 0
    return area((x_min, y_min, x_max, y_max))


def iou(box_a, box_b):
    total = area(box_a) + area(box_b)
    shared = intersection(box_a, box_b)
    return shared / (total - shared) if shared else 0


def pairwise_iou(boxes_a, boxes_b):
    """One row at a time: numpy meets a box with all the others."""
    table = np.zeros((len(boxes_a), len(boxes_b)))
    for i, (x_min, y_min, x_max, y_max) in enumerate(boxes_a):
        width = np.clip(np.minimum(x_max, boxes_b[:, 2]) - np.maximum(x_min, boxes_b[:, 0]), 0, None)
        height = np.clip(np.minimum(y_max, boxes_b[:, 3]) - np.maximum(y_min, boxes_b[:, 1]), 0, None)
        shared = width * height
        others = (boxes_b[:, 2] - boxes_b[:, 0]) * (boxes_b[:, 3] - boxes_b[:, 1])
        union = (x_max - x_min) * (y_max - y_min) + others - shared
        table[i] = np.where(union == 0, 0, shared / np.where(union == 0, 1, union))
    return table


def mask_iou(mask_a, mask_b):
    pixels = list(zip(np.ravel(mask_a).tolist(), np.ravel(mask_b).tolist(), strict=True))
    either = sum(a or b for a, b in pixels)
    return sum(a and b for a, b in pixels) / either if either else 0


def mean_iou(y_true, y_pred, n_classes):
    pairs = list(zip(np.ravel(y_true).tolist(), np.ravel(y_pred).tolist(), strict=True))
    scores = []
    for label in {label for pair in pairs for label in pair}:
        both = pairs.count((label, label))
        scores.append(both / sum(label in pair for pair in pairs))
    return sum(scores) / len(scores) if scores else 0


def generalized_iou(box_a, box_b):
    hull = area([f(a, b) for f, a, b in zip((min, min, max, max), box_a, box_b, strict=True)])
    union = area(box_a) + area(box_b) - intersection(box_a, box_b)
    return iou(box_a, box_b) - (1 - union / hull)


def box_with_iou(box, target):
    """Grow the box to the left, until it is the target's share of the new one."""
    x_min, y_min, x_max, y_max = box
    return [x_max - (x_max - x_min) / target, y_min, x_max, y_max]
