"""How good answers are. Shares are percentages, as BLEU is; every BLEU and chrF comes with its signature."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from zoo.data.words import UNSPACED

# Languages whose words have no spaces between them: 13a, made for European texts, would see one word.
BLEU_TOKENIZERS = {"zh": "zh", "ja": "char", "th": "char", "lo": "char", "km": "char", "my": "char"}

OTHER_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
"""Thai, Lao, Burmese, Khmer and kana: what tells their texts from Chinese ones."""

WORD = rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:['’-][^\W{UNSPACED}]+)*"
TOKEN = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]+")
LENGTHS, FEW = 5, 20
"""Words of a step of lengths, and the fewest rows that say anything of one."""
STUTTER = re.compile(r"([^\W\d_]{2,})\1\1")


def score_translation(
    hypotheses: Sequence[str], references: Sequence[str], target_language: str
) -> dict[str, Any]:
    """Figures of answers against one reference each, both as people write them (detokenised).

    Args:
        target_language: code of the language of the answers (`en`, `zh`, ...); where it is not known (files of
            one's own), the script of the references decides.

    Returns: `bleu` (cased) and `bleu_lc` (lower-cased), sacreBLEU with its tokenizer 13a, or `zh` and `char`
        for languages without spaces; `chrf` and `chrf_lc`; a `_signature` beside each; `exact_match`, the
        share of answers equal to the reference; `repetition_rate`, the share of answers that say something
        three times in a row.
    """
    _same_length(hypotheses, references)
    tokenizer = bleu_tokenizer(target_language, references)
    measures = {
        # force: no warning on the terminal about texts that look tokenised
        "bleu": BLEU(tokenize=tokenizer, force=True),
        "bleu_lc": BLEU(tokenize=tokenizer, lowercase=True, force=True),
        "chrf": CHRF(),
        "chrf_lc": CHRF(lowercase=True),
    }
    scores: dict[str, Any] = {}
    for name, measure in measures.items():
        scores[name] = measure.corpus_score(list(hypotheses), [list(references)]).score
        scores[f"{name}_signature"] = str(measure.get_signature())
    equal = [hypothesis == reference for hypothesis, reference in zip(hypotheses, references, strict=True)]
    scores["exact_match"] = 100.0 * sum(equal) / len(equal)
    scores["repetition_rate"] = 100.0 * sum(map(repeats, hypotheses)) / len(hypotheses)
    return scores


def score_by_length(
    sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str], target_language: str
) -> dict[str, dict[str, float]]:
    """`bleu_lc` of texts of about the same length: where a fixed context, or a model that has seen short texts
    alone, falls behind.

    Returns: words of the source (or what `length_unit` says), as "6-10", in steps of LENGTHS -> `rows` and
        `bleu_lc` of those. Steps of too few rows (FEW) are joined with the next one, the last with that before.
    """
    steps = [max(len(re.findall(WORD, source)) - 1, 0) // LENGTHS for source in sources]
    groups = _joined(Counter(steps))
    measure = BLEU(tokenize=bleu_tokenizer(target_language, references), lowercase=True, force=True)
    found = {}
    for group in groups:
        rows = [i for i, step in enumerate(steps) if step in group]
        pairs = [hypotheses[i] for i in rows], [[references[i] for i in rows]]
        name = f"{group[0] * LENGTHS + 1}" + (
            "+" if group is groups[-1] else f"-{group[-1] * LENGTHS + LENGTHS}"
        )
        found[name] = {"rows": len(rows), "bleu_lc": measure.corpus_score(*pairs).score}
    return found


def _joined(rows: Counter[int]) -> list[range]:
    """Steps of lengths, neighbours together where they have few rows."""
    groups, first = [], 0
    for step in range(max(rows) + 1):
        if sum(rows[one] for one in range(first, step + 1)) >= FEW:
            groups.append(range(first, step + 1))
            first = step + 1
    if first <= max(rows):
        groups = [*groups[:-1], range(groups[-1][0] if groups else 0, max(rows) + 1)]
    return groups


def length_unit(sources: Sequence[str]) -> str:
    """What `score_by_length` counts in most of the texts: words, or characters of a script without spaces."""
    words, characters = _words("\n".join(sources)), re.findall(rf"[{UNSPACED}]", "\n".join(sources))
    return "characters" if 2 * len(characters) > len(words) else "words"


def bleu_tokenizer(language: str, references: Sequence[str]) -> str:
    """sacreBLEU's tokenizer for a language, or for the script that most letters of the references are in."""
    if language in BLEU_TOKENIZERS:
        return BLEU_TOKENIZERS[language]
    letters = "".join(character for text in references for character in text if character.isalpha())
    unspaced = len(re.findall(rf"[{UNSPACED}]", letters))
    if 2 * unspaced <= len(letters):
        return "13a"
    # A Chinese corpus may quote a Japanese name; every third letter of Japanese or more is kana.
    return "char" if 10 * len(re.findall(rf"[{OTHER_UNSPACED}]", letters)) > unspaced else "zh"


def repeats(text: str) -> bool:
    """Whether something stands three times in a row: `the dog the dog the dog`, `狗狗狗`, `hahaha`.

    Something is any number of words; a character is a word where a script has no spaces. A run of signs
    (`...`) and a number (`1000`) are one word each.
    """
    words = _words(text)
    for size in range(1, len(words) // 3 + 1):
        run = 0  # places in a row that equal the place `size` further on
        for i in range(len(words) - size):
            run = run + 1 if words[i] == words[i + size] else 0
            if run == 2 * size:
                return True
    return any(STUTTER.search(word) for word in words)


def score_classification(
    predicted: Sequence[str], gold: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    """Figures of predicted labels.

    Args:
        labels: the labels there are, in the order in which they are reported; others that are met come after
            them.

    Returns: `accuracy` and `macro_f1` in percent; `per_class`: label -> precision, recall, f1 (percent)
        and support, the number of texts that have it; `confusions`: label -> what texts of it are taken for
        instead -> how many. `macro_f1` is the mean over all labels that are gold or
        predicted at least once, as in scikit-learn; a ratio with nothing below the line is 0.
    """
    _same_length(predicted, gold)
    predicted, gold = np.asarray(predicted, object), np.asarray(gold, object)
    names = list(dict.fromkeys([*labels, *sorted({*predicted, *gold})]))
    per_class, present = {}, []
    for name in names:
        found, there = predicted == name, gold == name
        hits, answers, support = (int(np.sum(x)) for x in (found & there, found, there))
        per_class[name] = {
            "precision": _percent(hits, answers),
            "recall": _percent(hits, support),
            "f1": _percent(2 * hits, answers + support),
            "support": support,
        }
        if answers or support:
            present.append(per_class[name]["f1"])
    return {
        "accuracy": _percent(int(np.sum(predicted == gold)), len(gold)),
        "macro_f1": float(np.mean(present)),
        "per_class": per_class,
        "confusions": _confusions(predicted, gold),
    }


def _confusions(predicted: Sequence[str], gold: Sequence[str]) -> dict[str, dict[str, int]]:
    """What is right -> what is said instead -> how often; the most frequent first."""
    pairs = Counter((right, said) for said, right in zip(predicted, gold, strict=True) if said != right)
    found: dict[str, dict[str, int]] = {}
    for (right, said), count in pairs.most_common():
        found.setdefault(right, {})[said] = count
    return found


def score_tagging(
    predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], labels: Sequence[str]
) -> dict[str, Any]:
    """Figures of predicted tags, one list a sentence, as long as the sentence.

    Args:
        labels: as for `score_classification`.

    Returns: `accuracy`, `macro_f1`, `per_class` and `confusions` of all words, as `score_classification` gives
        them for texts; `exact_match`, the share of sentences whose tags are all right; `words`, their number.
    """
    _same_length(predicted, gold)
    for i, (one, other) in enumerate(zip(predicted, gold, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"sentence {i}: {len(one)} tags for {len(other)} words")
    words = score_classification([*chain(*predicted)], [*chain(*gold)], labels)
    right = sum(list(one) == list(other) for one, other in zip(predicted, gold, strict=True))
    of_tags = {key: words.pop(key) for key in ("per_class", "confusions")}
    return {
        **words,
        "exact_match": _percent(right, len(gold)),
        "words": sum(map(len, gold)),
        **of_tags,
    }


def score_language_model(nats: float, tokens: int, texts: Sequence[str]) -> dict[str, Any]:
    """Figures of how well the next token is foretold.

    Args:
        nats: sum of -log p (natural logarithm) over all tokens.
        tokens: how many were predicted, the end marks between documents among them.
        texts: the raw documents that the tokens stand for.

    Returns: `loss`, nats a token; `perplexity`, exp(loss); `bits_per_byte` and `bits_per_character`, all bits
        (nats / log 2) over the bytes in UTF-8 and over the characters (code points) of the raw documents;
        `tokens`. Loss and perplexity depend on the tokenizer; bits can be compared between tokenizers, as long
        as these lose nothing: what becomes `<unk>` is foretold too cheaply.
    """
    loss = nats / max(tokens, 1)
    return {
        "loss": loss,
        "perplexity": perplexity(loss),
        "bits_per_byte": nats
        / math.log(2)
        / max(sum(len(text.encode("utf-8", "replace")) for text in texts), 1),
        "bits_per_character": nats / math.log(2) / max(sum(map(len, texts)), 1),
        "tokens": tokens,
    }


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Different n-grams of words over all n-grams of all texts, from 0 to 1: how much texts repeat each other.

    Upper and lower case are one; a character is a word where a script has no spaces. 0 where no text has n words.
    It falls as texts become more: compare equal numbers of them. (Li et al. 2016, arXiv:1510.03055)
    """
    grams = [tuple(words[i : i + n]) for words in map(_words, texts) for i in range(len(words) - n + 1)]
    return len({*grams}) / len(grams) if grams else 0.0


def copied(texts: Sequence[str], known: Sequence[str]) -> float:
    """Share of texts (percent) that stand word for word among known ones; case and spaces do not matter."""
    there = {tuple(_words(text)) for text in known}
    return _percent(sum(tuple(_words(text)) in there for text in texts), len(texts))


def score_masked(nats: float, right: float, tokens: float) -> dict[str, Any]:
    """Figures of how well hidden tokens are foretold.

    Args:
        nats: sum of -log p (natural logarithm) over all hidden tokens.
        right: how many of them were the most probable ones.
        tokens: how many there were.

    Returns: `loss`, nats a token; `perplexity`, exp(loss); `accuracy`, per cent; `tokens`. All depend on the
        tokenizer and on what is hidden.
    """
    loss = nats / max(tokens, 1.0)
    return {
        "loss": loss,
        "perplexity": perplexity(loss),
        "accuracy": _percent(round(right), round(tokens)),
        "tokens": round(tokens),
    }


def perplexity(loss: float) -> float:
    """exp(loss); infinite where that is no number of a computer's."""
    return math.exp(loss) if loss < 700.0 else math.inf


def _words(text: str) -> list[str]:
    return TOKEN.findall(text.lower())


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0


def _same_length(answers: Sequence, references: Sequence) -> None:
    if len(answers) != len(references) or not len(answers):
        raise ValueError(f"{len(answers)} answers and {len(references)} references cannot be compared")
