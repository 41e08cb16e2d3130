"""Auto-graded coursework on convolutional networks."""

import sys

__version__ = "0.1.0"

# nbformat loads jsonschema, and that a grammar of web addresses, which takes a second to build and which no
# notebook is checked by. Where it is missing, jsonschema does without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
