"""Files for the tests of the runtime; TensorFlow writes them once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_files import convert_all, parts

from zoo.config.tokenizer import Byte
from zoo.data.tokenizers import Tokenizer, train_tokenizer
from zoo.runtime.tflite import append


@pytest.fixture(scope="session")
def flatbuffers() -> dict[str, bytes]:
    return convert_all()


@pytest.fixture(scope="session")
def byte() -> Tokenizer:
    return train_tokenizer(Byte(name="byte"), [])


@pytest.fixture
def make(tmp_path, flatbuffers, byte):
    def make(name: str, task: str = "translation", files: dict[str, bytes | None] | None = None) -> Path:
        path = tmp_path / "model.tflite"
        path.write_bytes(flatbuffers[name])
        wanted = {**parts(task, byte), **(files or {})}
        append(path, {key: value for key, value in wanted.items() if value is not None})
        return path

    return make
