"""The layers of the story, each written once in `keras.ops`, in the order in which they were thought of."""

# ruff: noqa: I001, RUF022 (the order is that of the story)

# Recurrent networks: a state that is carried from step to step.
from zoo.layers.cells import SimpleRNNCell, LSTMCell, GRUCell
from zoo.layers.rnn import SimpleRNN, LSTM, GRU
from zoo.layers.bidirectional import Bidirectional

# Attention: a decoder that looks back at everything that was read.
from zoo.layers.attention import BahdanauAttention, LuongAttention
from zoo.layers.attention_decoder import AttentionCell, AttentionDecoder

# Self-attention, which has no state and no order of its own.
from zoo.layers.dot_product import ScaledDotProductAttention
from zoo.layers.multi_head import MultiHeadAttention
from zoo.layers.positions import SinusoidalPositionalEncoding, LearnedPositionalEncoding
from zoo.layers.relative_positions import RotaryEmbedding, ALiBi, T5RelativeBias
from zoo.layers.transformer_xl import TransformerXLPositions

# The Transformer: attention and feed-forward, each normalised inside a residual connection.
from zoo.layers.normalization import LayerNormalization, RMSNormalization, MaskedBatchNormalization
from zoo.layers.feed_forward import FeedForward
from zoo.layers.blocks import TransformerEncoderBlock, TransformerDecoderBlock
from zoo.layers.two_stream import TwoStreamBlock

# What stands before, between and behind: embeddings, dropout, convolutions, pooling, heads.
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.dropout import Dropout
from zoo.layers.convolution import MaskedConv1D
from zoo.layers.pooling import MaskedPooling
from zoo.layers.heads import LanguageModelHead, MaskedLMHead, ClassifierHead, TaggerHead
from zoo.layers.crf import CRF

__all__ = [
    "SimpleRNNCell",
    "LSTMCell",
    "GRUCell",
    "SimpleRNN",
    "LSTM",
    "GRU",
    "Bidirectional",
    "BahdanauAttention",
    "LuongAttention",
    "AttentionCell",
    "AttentionDecoder",
    "ScaledDotProductAttention",
    "MultiHeadAttention",
    "SinusoidalPositionalEncoding",
    "LearnedPositionalEncoding",
    "RotaryEmbedding",
    "ALiBi",
    "T5RelativeBias",
    "TransformerXLPositions",
    "LayerNormalization",
    "RMSNormalization",
    "MaskedBatchNormalization",
    "FeedForward",
    "TransformerEncoderBlock",
    "TransformerDecoderBlock",
    "TwoStreamBlock",
    "TiedEmbedding",
    "Dropout",
    "MaskedConv1D",
    "MaskedPooling",
    "LanguageModelHead",
    "MaskedLMHead",
    "ClassifierHead",
    "TaggerHead",
    "CRF",
]
