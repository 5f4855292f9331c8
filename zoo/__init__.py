"""Sequence models for Keras 3: from a YAML recipe to a served file."""

__version__ = "0.1.0"
