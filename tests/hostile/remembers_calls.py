"""Functions that answer from what they were asked before, and right only the first time."""
asked = {}


def once(name, function):
    def answer(*args):
        asked[name] = asked.get(name, 0) + 1
        return function(*args) if asked[name] == 1 else asked

    return answer


box_with_iou = once("box_with_iou", box_with_iou)
print("TRIED")
