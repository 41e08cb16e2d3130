"""Right answers in numpy throughout: one set of broadcasting steps serves pairs, tables and masks alike."""

import numpy as np


def center_to_corners(boxes):
    centers, sizes = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([centers - 0.5 * sizes, centers + 0.5 * sizes], axis=-1)


def corners_to_center(boxes):
    return np.c_[boxes[:, :2] * 0.5 + boxes[:, 2:] * 0.5, np.diff(boxes.reshape(-1, 2, 2), axis=1)[:, 0]]


def shared_and_union(boxes_a, boxes_b):
    """Return both areas for arrays of boxes whose leading axes broadcast."""
    low = np.maximum(boxes_a[..., :2], boxes_b[..., :2])
    high = np.minimum(boxes_a[..., 2:], boxes_b[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (boxes_a, boxes_b)]
    return shared, areas[0] + areas[1] - shared


def iou(box_a, box_b):
    boxes = np.array([box_a, box_b], dtype=np.float64)
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError("each maximum must be at least its minimum")
    shared, union = shared_and_union(*boxes)
    return shared / np.where(union > 0, union, 1)


def pairwise_iou(boxes_a, boxes_b):
    shared, union = shared_and_union(boxes_a[:, np.newaxis], boxes_b[np.newaxis])
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(shared / union)


def mask_iou(mask_a, mask_b):
    return np.count_nonzero(mask_a * mask_b) / max(np.count_nonzero(mask_a + mask_b), 1)


def mean_iou(y_true, y_pred, n_classes):
    # (n_classes, pixels) each
    classes = np.arange(n_classes)[:, None]
    true, predicted = classes == np.ravel(y_true), classes == np.ravel(y_pred)
    shared, union = (true & predicted).sum(axis=1), (true | predicted).sum(axis=1)
    present = union > 0
    return (shared[present] / union[present]).mean() if present.any() else np.float32(0)


def generalized_iou(box_a, box_b):
    boxes = np.array([box_a, box_b])
    shared, union = shared_and_union(*boxes)
    hull = np.prod(boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0))
    return shared / union - (hull - union) / hull


def box_with_iou(box, target):
    """Shift the box to the right, so that what leaves the intersection joins the union."""
    shift = (box[2] - box[0]) * (1 - target) / (1 + target)
    return np.add(box, (shift, 0, shift, 0))
