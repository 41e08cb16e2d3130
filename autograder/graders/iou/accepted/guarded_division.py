"""Right answers that add a tiny number to each divisor, as many published implementations do."""

import numpy as np

EPSILON = 1e-9


def center_to_corners(boxes):
    x, y, w, h = np.transpose(boxes)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)


def corners_to_center(boxes):
    corners = np.zeros((len(boxes), 4))
    corners[:, 2] = boxes[:, 2] - boxes[:, 0]
    corners[:, 3] = boxes[:, 3] - boxes[:, 1]
    corners[:, 0] = boxes[:, 0] + corners[:, 2] / 2
    corners[:, 1] = boxes[:, 1] + corners[:, 3] / 2
    return corners


def iou(box_a, box_b):
    for box in (box_a, box_b):
        if box[0] > box[2] or box[1] > box[3]:
            raise ValueError(f"invalid box {box}")
    return float(pairwise_iou(np.array([box_a]), np.array([box_b]))[0, 0])


def pairwise_iou(boxes_a, boxes_b):
    a, b = boxes_a[:, None], boxes_b
    width = (np.minimum(a[..., 2], b[:, 2]) - np.maximum(a[..., 0], b[:, 0])).clip(min=0)
    height = (np.minimum(a[..., 3], b[:, 3]) - np.maximum(a[..., 1], b[:, 1])).clip(min=0)
    shared = width * height
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return shared / (area_a + area_b - shared + EPSILON)


def mask_iou(mask_a, mask_b):
    shared = np.logical_and(mask_a, mask_b).sum()
    return shared / (mask_a.sum() + mask_b.sum() - shared + EPSILON)


def mean_iou(y_true, y_pred, n_classes):
    """From the confusion matrix, as Keras does it."""
    confusion = np.zeros((n_classes, n_classes))
    np.add.at(confusion, (y_true, y_pred), 1)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - confusion.diagonal()
    return (confusion.diagonal() / (union + EPSILON)).sum() / ((union > 0).sum() + EPSILON)


def generalized_iou(box_a, box_b):
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = box_a, box_b
    shared = max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0))
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared
    hull = (max(ax1, bx1) - min(ax0, bx0)) * (max(ay1, by1) - min(ay0, by0))
    return shared / (union + EPSILON) - (hull - union) / (hull + EPSILON)


def box_with_iou(box, target):
    """Scale both sides about the center, each by the target's square root."""
    x, y, w, h = corners_to_center(np.array([box]))[0]
    return tuple(center_to_corners([[x, y, w * target**0.5, h * target**0.5]])[0])
