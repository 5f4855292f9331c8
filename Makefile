# Everything runs in .venv; PYTHON names the interpreter that makes it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install fmt lint test test-slow test-jax ci

install: $(BIN)/zoo

$(BIN)/zoo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

fmt: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

test: install
	$(BIN)/pytest

test-slow: install
	$(BIN)/pytest -m slow

test-jax: install
	$(BIN)/pip install --quiet --editable '.[dev,jax]'
	$(BIN)/pytest -m 'jax and not slow'

ci:
	.ci/run
