"""Python files of the user's own, named by `imports:` in a recipe: read only where the user allows it.

A recipe is data, and reading one never runs code. A recipe with `imports` is refused until the user says
`--allow-code` (in Python, `allow_code=True`); then its files are run, once, and what they register can be named
by recipes.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import traceback
from pathlib import Path

from zoo.errors import UserError

_allowed = False
_loaded: dict[tuple[Path, int], None] = {}


def allow() -> None:
    """From now on this process runs the files that recipes import."""
    global _allowed
    _allowed = True


def allowed() -> bool:
    return _allowed


def refusal(file: str) -> str:
    """What a recipe with `imports` is told where code is not allowed."""
    return f"would run the code of {file}: read it, and if you trust it add --allow-code"


def run(path: Path) -> None:
    """Runs a file, unless this process has done so since it was changed."""
    try:
        key = (path.resolve(), path.stat().st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if path.suffix != ".py":
        raise UserError(f"{path}: not a Python file; its name must end in .py")
    if key in _loaded:
        return
    name = "zoo_user_" + re.sub(r"\W", "_", path.stem)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # A file may import another one beside it, as a script may.
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except UserError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{_place(error, path)}  {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    _loaded[key] = None


def _place(error: Exception, path: Path) -> str:
    """file:line of the mistake, in the user's own file where it passed through it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.relpath(error.filename)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    return f"{path}:{own[-1].lineno}" if own else str(path)
