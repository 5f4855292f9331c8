"""What XLA compiles is kept, and found by the next process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from zoo.cache import cache_dir, keep_compilations

FLAG = "--tf_xla_persistent_cache_directory"


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_XLA_FLAGS", "")  # so that both are put back as they were
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    monkeypatch.delenv("TF_XLA_FLAGS")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    return monkeypatch


def test_both_backends_are_given_a_folder_of_the_cache(environment) -> None:
    keep_compilations()
    flags, folder = os.environ["TF_XLA_FLAGS"], os.environ["JAX_COMPILATION_CACHE_DIR"]
    tf, jax = Path(flags.removeprefix(f"{FLAG}=")), Path(folder)
    assert tf.parent == jax.parent and jax.parents[1] == cache_dir("xla")
    keep_compilations()
    assert os.environ["TF_XLA_FLAGS"] == flags


def test_what_the_environment_says_comes_first(environment) -> None:
    environment.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
    environment.setenv("JAX_COMPILATION_CACHE_DIR", "/mine")
    keep_compilations()
    assert os.environ["TF_XLA_FLAGS"].startswith(f"--tf_xla_auto_jit=0 {FLAG}=")
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/mine"
    environment.setenv("TF_XLA_FLAGS", f"{FLAG}=/mine")
    keep_compilations()
    assert os.environ["TF_XLA_FLAGS"] == f"{FLAG}=/mine"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.jax)])
def test_a_second_process_compiles_nothing_new(tmp_path, backend) -> None:
    recipe = tiny.transformer(tmp_path)
    kept = []
    for run in ("first", "second"):
        command = [sys.executable, "-c", "from zoo.cli import main; main()", "train", str(recipe)]
        command += ["train.xla=true", "train.steps=3", "train.samples=0", "--run", str(tmp_path / run)]
        given = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache"), "KERAS_BACKEND": backend}
        done = subprocess.run(command, capture_output=True, text=True, env=given, timeout=600)
        assert done.returncode == 0, done.stderr
        kept.append({path.name for path in (tmp_path / "cache" / "xla").rglob("*") if path.is_file()})
    made = {name for name in kept[0] if not name.endswith("-atime")}
    assert made and made == {name for name in kept[1] if not name.endswith("-atime")}
