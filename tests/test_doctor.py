"""`zoo doctor`: each check can pass and can fail, and a process that dies is a failed check."""

from __future__ import annotations

import json

import pytest
from zoo.cli import doctor, main


def run(capfd, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["doctor", *arguments])
    return (end.value.code or 0, *capfd.readouterr())


@pytest.fixture
def only_versions(monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", {"versions": doctor.CHECKS["versions"]})


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Stands in for the interpreter that runs a check."""

    def script(*lines: str):
        path = tmp_path / "python"
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(path))

    return script


def test_all_is_well(only_versions, capfd):
    code, stdout, stderr = run(capfd)
    assert (code, stderr) == (0, "")
    assert stdout.startswith("versions  ok") and "tensorflow 2.21" in stdout and len(stdout.splitlines()) == 1


def test_json(only_versions, capfd):
    code, stdout, _ = run(capfd, "--json")
    report = json.loads(stdout)
    assert code == 0 and report["ok"] is True
    assert [(check["name"], check["ok"]) for check in report["checks"]] == [("versions", True)]
    assert "keras 3." in report["checks"][0]["detail"]


def test_an_abort_is_a_failed_check(only_versions, python, capfd):
    python("echo 'LLVM ERROR: unknown target' >&2", "kill -ABRT $$")
    code, stdout, stderr = run(capfd)
    assert code == 1
    assert "FAILED" in stdout and "died: killed by SIGABRT" in stdout and "remedy: " in stdout
    assert "LLVM ERROR: unknown target" in stderr


def test_a_check_that_hangs_is_a_failed_check(python, monkeypatch):
    python("exec sleep 60")
    monkeypatch.setattr(doctor, "MINUTES", 0.005)
    result = doctor.run_check("xla")
    assert not result["ok"] and "no answer" in result["detail"] and result["remedy"]
    assert result["seconds"] < 10


def test_a_wrong_version_is_named(monkeypatch, capsys):
    import importlib.metadata

    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "3.14.0" if name == "keras" else real(name)
    )
    assert doctor._main("versions") == 1
    assert json.loads(capsys.readouterr().out)["detail"].startswith("keras is 3.14.0, needed is ")


def test_an_exception_is_a_failed_check(monkeypatch, capsys):
    def broken():
        raise RuntimeError("no such kernel\nand much more")

    monkeypatch.setitem(doctor.CHECKS, "xla", (broken, "remedy"))
    assert doctor._main("xla") == 1
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout) == {"detail": "no such kernel"}
    assert "Traceback" in stderr


def test_checks_of_the_stack():
    assert "CPU cores" in doctor.devices()
    assert doctor.xla() == "compiles"
    assert doctor.lstm() == "learns"
    assert doctor.attention() == "sees no later token"


def test_a_leaking_mask_is_found(monkeypatch):
    """The fault that Keras before 3.15.1 had."""
    import keras

    from zoo.models import transformer

    monkeypatch.setattr(
        transformer, "causal_mask", lambda length: keras.ops.ones((1, 1, length, length), "bool")
    )
    with pytest.raises(doctor.Failure, match="a later token changes earlier logits"):
        doctor.attention()


@pytest.mark.slow
def test_every_check(capfd):
    code, stdout, _ = run(capfd, "--json")
    report = json.loads(stdout)
    assert code == 0, report
    assert [check["name"] for check in report["checks"]] == list(doctor.CHECKS)
    assert report["checks"][-1]["detail"] == "answers 9 texts as Python does"
