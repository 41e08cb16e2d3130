"""Prints, raises and displays characters that no file, terminal or page should meet as they are."""
import sys

TEXT = "\ud800 \udfff \x00 \x1b[2J\x1b]0;owned\x07 \u202e \x85 \r <script>alert(1)</script> {{ 7 * 7 }} %s $HOME `id`"
shell = get_ipython()
print(TEXT)
print(TEXT, file=sys.stderr)
shell.display_pub.publish({"text/plain": TEXT, "text/html": TEXT, "text/markdown": TEXT, "text/latex": TEXT, TEXT: TEXT})


def box_with_iou(box, target):
    raise type(TEXT.replace("\x00", "").encode("ascii", "ignore").decode(), (ValueError,), {})(TEXT)


print("TRIED")
raise ValueError(TEXT)
