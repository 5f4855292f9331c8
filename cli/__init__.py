"""The `zoo` command."""

if __name__ == "cli":
    raise ImportError("import zoo.cli; the folder cli/ is not a package of its own")
