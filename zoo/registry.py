"""Where each named part lives: name -> "module:Symbol". Adding a model or a data set is one line here.

Nothing is imported before it is asked for, so that lists of names cost nothing. Layers need no line:
what `zoo/layers/__init__.py` exports is one, and is found by reading that file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.errors import UserError

MODELS = {
    "rnn_language_model": "zoo.models.rnn_language_model:RNNLanguageModel",
    "rnn_classifier": "zoo.models.rnn_classifier:RNNClassifier",
    "rnn_tagger": "zoo.models.rnn_tagger:RNNTagger",
    "rnn_seq2seq": "zoo.models.seq2seq:RNNSeq2Seq",
    "transformer": "zoo.models.transformer:Transformer",
    "transformer_classifier": "zoo.models.transformer_classifier:TransformerClassifier",
    "transformer_tagger": "zoo.models.transformer_tagger:TransformerTagger",
    "gpt": "zoo.models.gpt:GPT",
    "textcnn": "zoo.models.textcnn:TextCNN",
    "bert": "zoo.models.bert:Bert",
    "xlnet": "zoo.models.xlnet:XLNet",
}

DATASETS = {
    "dates": "zoo.data.dates:load",
    "numbers": "zoo.data.numbers:load",
    "multi30k": "zoo.data.public:load",
    "tatoeba_en_zh": "zoo.data.public:load",
    "sst2": "zoo.data.public:load",
    "trec": "zoo.data.public:load",
    "ud_ewt": "zoo.data.public:load",
    "tinyshakespeare": "zoo.data.public:load",
    "english": "zoo.data.english:load",
    "parallel": "zoo.data.readers:load",
    "tsv": "zoo.data.readers:load",
    "csv": "zoo.data.readers:load",
    "jsonl": "zoo.data.readers:load",
    "labeled": "zoo.data.readers:load",
    "conllu": "zoo.data.readers:load",
    "text": "zoo.data.readers:load",
}

TOKENIZERS = {
    "sentencepiece": "zoo.data.tokenizers:Tokenizer",
    "character": "zoo.data.tokenizers:Tokenizer",
    "byte": "zoo.data.tokenizers:Tokenizer",
    "word": "zoo.data.tokenizers:Tokenizer",
    "pretrained": "zoo.data.tokenizers:Tokenizer",
}


REGISTERED: dict[str, dict[str, Any]] = {"model": {}, "layer": {}}
"""What files of the user's own have registered: kind -> name -> class."""


def register(kind: str, name: str, **example: Any):
    """Class decorator: makes a model of one's own known to recipes, and a model or layer to `zoo test`.

    Args:
        kind: "model" or "layer".
        name: what recipes say, such as `model: {name: my_model}`.
        example: of a layer, how a small one is made and called; see docs/your-own-layers.md.
    """
    if kind not in REGISTERED:
        raise UserError(f"cannot register a {kind}: {' or '.join(REGISTERED)}")
    if name in (MODELS if kind == "model" else __getattr__("LAYERS")):
        raise UserError(f"the {kind} '{name}' comes with the zoo: choose another name")

    def decorate(cls):
        if kind == "model" and not hasattr(cls, "task"):
            raise UserError(
                f"{cls.__name__}: derive it from a kind of model in zoo.models.base, such as Classifier"
            )
        cls.zoo_example = example
        REGISTERED[kind][name] = cls
        return cls

    return decorate


def __getattr__(name: str) -> Any:
    if name == "LAYERS":
        return {layer: f"zoo.layers.{module}:{layer}" for layer, module, _ in documented_layers()}
    raise AttributeError(name)


def table(kind: str) -> dict[str, str]:
    """The names of one kind: model, layer, dataset or tokenizer."""
    return {"model": MODELS, "dataset": DATASETS, "tokenizer": TOKENIZERS}.get(kind) or __getattr__("LAYERS")


def resolve(kind: str, name: str) -> Any:
    """The class or function behind a name; imports its module."""
    if name in REGISTERED.get(kind, {}):
        return REGISTERED[kind][name]
    known = table(kind)
    if name not in known:
        raise UserError(unknown(kind, name, known))
    module, symbol = known[name].split(":")
    return getattr(import_module(module), symbol)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """ ", did you mean 'x'?", or an empty text if nothing is close."""
    from difflib import get_close_matches

    by_lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f", did you mean '{by_lower[close[0]]}'?" if close else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is none of the known ones."""
    known = list(known)
    return f"unknown {kind} '{name}'{did_you_mean(name, known) or ','} known: {', '.join(known)}"


@cache
def documented_layers() -> tuple[tuple[str, str, str], ...]:
    """(class, module, first docstring line) of each exported layer, read without importing Keras."""
    folder = Path(__file__).parent / "layers"
    exports = ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body
    found = []
    for line in exports:
        if isinstance(line, ast.ImportFrom) and line.module:
            module = line.module.removeprefix("zoo.layers.")
            said = {name: text for name, text, _ in documented_classes(folder / f"{module}.py")}
            found += [(alias.name, module, said[alias.name]) for alias in line.names if alias.name in said]
    return tuple(sorted(found))


def documented_sections(kind: str) -> dict[str, str]:
    """name -> first docstring line of the recipe sections with a fixed `name`, read without pydantic."""
    files = {
        "model": [p for p in sorted(_config().glob("*.py")) if p.stem not in ("data", "tokenizer")],
        "dataset": [_config() / "data.py"],
        "tokenizer": [_config() / "tokenizer.py"],
    }
    return {
        name: line
        for path in files[kind]
        for _, line, node in documented_classes(path)
        for name in _fixed_name(node)
    }


def licences() -> dict[str, str]:
    """data set -> licence, read from `SOURCES` in zoo/data/public.py without importing its readers."""
    text = (Path(__file__).parent / "data" / "public.py").read_text(encoding="utf-8")
    return {
        key.value: word.value.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Dict)
        for key, source in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(source, ast.Call)
        for word in source.keywords
        if word.arg == "licence" and isinstance(word.value, ast.Constant)
    }


def documented_classes(path: Path) -> Iterator[tuple[str, str, ast.ClassDef]]:
    """(name, first docstring line, syntax tree) of the public classes of a file that have a docstring."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            if text:
                yield node.name, text.splitlines()[0], node


def _config() -> Path:
    return Path(__file__).parent / "config"


def _fixed_name(node: ast.ClassDef) -> Iterator[str]:
    """The text in `name: Literal["..."]`."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and getattr(item.target, "id", "") == "name":
            annotation = item.annotation
            if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Constant):
                yield annotation.slice.value
