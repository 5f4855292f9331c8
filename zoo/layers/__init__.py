"""The layers of the story, each written once in `keras.ops`."""

from zoo.layers.attention import AttentionDecoder, AttentionLSTMCell, BahdanauAttention
from zoo.layers.blocks import TransformerDecoderBlock, TransformerEncoderBlock
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.feed_forward import FeedForward
from zoo.layers.multi_head import MultiHeadAttention
from zoo.layers.pooling import MaskedPooling
from zoo.layers.positions import SinusoidalPositionalEncoding

__all__ = [
    "AttentionDecoder",
    "AttentionLSTMCell",
    "BahdanauAttention",
    "FeedForward",
    "MaskedPooling",
    "MultiHeadAttention",
    "SinusoidalPositionalEncoding",
    "TiedEmbedding",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
]
