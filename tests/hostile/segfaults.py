"""A function that crashes the interpreter."""
import ctypes


def box_with_iou(box, target):
    ctypes.string_at(0)
