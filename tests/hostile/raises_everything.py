"""Ends cells and calls with exceptions that are no ordinary ones, and whose own methods fail."""
import sys


class Unspeakable(BaseException):
    def __str__(self):
        raise SystemExit(3)

    __repr__ = __format__ = __str__

    def __getattribute__(self, name):
        raise KeyboardInterrupt


ends = iter([SystemExit(0), KeyboardInterrupt(), GeneratorExit(), StopIteration(), MemoryError(), RecursionError(),
             Unspeakable(), BaseExceptionGroup("many", [SystemExit(1), KeyboardInterrupt()])])


def box_with_iou(box, target):
    raise next(ends)


def __getattr__(name):
    raise SystemExit(4)


sys.excepthook = sys.unraisablehook = lambda *args: sys.exit(5)
print("TRIED")
raise Unspeakable
