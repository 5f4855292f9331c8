"""A mistake of the user's, as opposed to one of ours."""

from __future__ import annotations


class UserError(Exception):
    """Says what is wrong, where, and how to mend it, one line a problem; the CLI prints it and exits with 2."""

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems))
        self.problems = problems
