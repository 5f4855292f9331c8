"""Layers composed into models. Importing this package registers every class with Keras."""

from zoo.models.bert import Bert
from zoo.models.gpt import GPT
from zoo.models.rnn_classifier import RNNClassifier
from zoo.models.rnn_language_model import RNNLanguageModel
from zoo.models.rnn_tagger import RNNTagger
from zoo.models.seq2seq import RNNSeq2Seq
from zoo.models.textcnn import TextCNN
from zoo.models.transformer import Transformer
from zoo.models.transformer_classifier import TransformerClassifier
from zoo.models.transformer_tagger import TransformerTagger
from zoo.models.xlnet import XLNet

__all__ = [
    "GPT",
    "Bert",
    "RNNClassifier",
    "RNNLanguageModel",
    "RNNSeq2Seq",
    "RNNTagger",
    "TextCNN",
    "Transformer",
    "TransformerClassifier",
    "TransformerTagger",
    "XLNet",
]
