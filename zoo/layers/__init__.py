"""The layers of the story, each written once in `keras.ops`."""

# ruff: noqa: I001, RUF022 (the order is that of the story)

from zoo.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from zoo.layers.rnn import GRU, LSTM, SimpleRNN
from zoo.layers.bidirectional import Bidirectional
from zoo.layers.attention import BahdanauAttention, LuongAttention
from zoo.layers.attention_decoder import AttentionCell, AttentionDecoder
from zoo.layers.blocks import TransformerDecoderBlock, TransformerEncoderBlock
from zoo.layers.convolution import MaskedConv1D
from zoo.layers.crf import CRF
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.feed_forward import FeedForward
from zoo.layers.heads import ClassifierHead, LanguageModelHead, MaskedLMHead, TaggerHead
from zoo.layers.dot_product import ScaledDotProductAttention
from zoo.layers.multi_head import MultiHeadAttention
from zoo.layers.normalization import LayerNormalization, MaskedBatchNormalization, RMSNormalization
from zoo.layers.pooling import MaskedPooling
from zoo.layers.positions import LearnedPositionalEncoding, SinusoidalPositionalEncoding
from zoo.layers.relative_positions import ALiBi, RotaryEmbedding, T5RelativeBias

__all__ = [
    "SimpleRNNCell",
    "SimpleRNN",
    "LSTMCell",
    "LSTM",
    "GRUCell",
    "GRU",
    "Bidirectional",
    "CRF",
    "AttentionCell",
    "AttentionDecoder",
    "BahdanauAttention",
    "ClassifierHead",
    "FeedForward",
    "LanguageModelHead",
    "LayerNormalization",
    "LuongAttention",
    "MaskedBatchNormalization",
    "MaskedConv1D",
    "MaskedLMHead",
    "MaskedPooling",
    "MultiHeadAttention",
    "RMSNormalization",
    "ScaledDotProductAttention",
    "SinusoidalPositionalEncoding",
    "LearnedPositionalEncoding",
    "RotaryEmbedding",
    "ALiBi",
    "T5RelativeBias",
    "TaggerHead",
    "TiedEmbedding",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
]
