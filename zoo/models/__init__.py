"""Layers composed into models. Importing this package registers every class with Keras."""

from zoo.models.rnn import RNNClassifier
from zoo.models.seq2seq import RNNSeq2Seq
from zoo.models.transformer import Transformer

__all__ = ["RNNClassifier", "RNNSeq2Seq", "Transformer"]
