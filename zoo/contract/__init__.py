"""What every model and layer promises, as checks that anyone can run on their own: `zoo test`.

A check is a function that raises an AssertionError, whose text says what was broken. The zoo's own tests run
the same checks over the registries, so that a new model is covered by being registered.
"""
