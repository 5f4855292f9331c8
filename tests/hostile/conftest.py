"""The tests here borrow small models and servers from their neighbours."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / name) for name in ("export", "serving")]
