"""The `tokenizer` section: one vocabulary for both sides, trained from the recipe's own training split, or of
another run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.config.base import Section

Normalization = Literal["identity", "nmt_nfkc", "nmt_nfkc_cf"]
Size = Annotated[int, Field(ge=8)]


class SentencePiece(Section):
    """Sub-words; every text can be written with them, through bytes where nothing else fits."""

    name: Literal["sentencepiece"]
    vocabulary_size: Size
    """Number of pieces, special ones and 256 bytes included."""
    model_type: Literal["unigram", "bpe"] = "unigram"
    """How pieces are chosen."""
    character_coverage: Annotated[float, Field(gt=0.9, le=1.0)] = 1.0
    """Share of characters that get a piece of their own."""
    sampling: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Sub-word regularization: in training texts are cut in other ways too, drawn at random. Of unigram, each way is
    drawn with its probability to this power (0.2 to 0.5: the smaller, the wilder); of bpe, this share of its merges is
    left out (0.05 to 0.1). null: the best way always, as in validation and in use. For translation and
    classification."""
    byte_fallback: bool = True
    """Whether unseen characters are written as bytes (else as <unk>)."""
    normalization: Normalization = "identity"
    """identity round-trips exactly; nmt_nfkc unifies forms; nmt_nfkc_cf also folds case."""


class Character(Section):
    """One piece a character."""

    name: Literal["character"]
    vocabulary_size: Size | None = None
    """Most frequent characters to keep (default: all)."""
    normalization: Normalization = "identity"
    """As for sentencepiece."""


class Byte(Section):
    """One piece a byte of UTF-8: 260 pieces, no training, no unknown."""

    name: Literal["byte"]


class Word(Section):
    """One piece a word between spaces."""

    name: Literal["word"]
    vocabulary_size: Size | None = None
    """Most frequent words to keep (default: all)."""
    normalization: Normalization = "identity"
    """As for sentencepiece."""


class Pretrained(Section):
    """The tokenizer of another run, as it is; the new run keeps a copy."""

    name: Literal["pretrained"]
    run: str
    """A run folder, a recipe trained under runs/, or a saved model."""


Trained = Annotated[SentencePiece | Character | Byte | Word, Field(discriminator="name")]
"""What is made of texts."""
Tokenizer = Annotated[SentencePiece | Character | Byte | Word | Pretrained, Field(discriminator="name")]
