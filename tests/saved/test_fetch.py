"""`zoo fetch`, over real HTTP: what is not what the index says is not kept."""

from __future__ import annotations

import http.server
import threading
from functools import partial

import pytest
from click.testing import CliRunner
from zoo.cli import main

from zoo import hub
from zoo.errors import UserError
from zoo.saved.fetch import fetch
from zoo.saved.index import NEEDED, Entry, files_of, read_index_of, write_index

NAME = "colours"


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder of saved models on a disk; here is none of them."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "shared"
    (root / NAME / "tokenizer").mkdir(parents=True)
    for part in (*NEEDED, "labels.json"):
        (root / NAME / part).write_text(f"{part} 颜色")
    index(root)
    return root


def index(root, **changes) -> None:
    entry = {
        "summary": "Colours.",
        "recipe": "a/b",
        "licence": "none",
        "files": files_of(root / NAME),
        **changes,
    }
    write_index(root, {NAME: Entry(**entry)})


@pytest.fixture
def address(shared):
    """The same, served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(shared)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def contents(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_over_http_and_then_by_its_name(shared, address) -> None:
    told = []
    folder = fetch(NAME, address, lambda done, whole: told.append((done, whole)))
    assert contents(folder) == contents(shared / NAME)
    size = sum(file.bytes for file in files_of(folder).values())
    assert told[-1] == (size, size) and told == sorted(told)
    assert hub.find_saved(NAME) == folder and NAME in hub.saved_names() and NAME in hub.here_names()
    assert read_index_of(hub.fetched_dir())[NAME].address == f"{address}/{NAME}/"


@pytest.mark.parametrize("spelling", ["{0}", "{0}/", "{0}/index.yaml"])
def test_from_a_folder(shared, spelling) -> None:
    assert contents(fetch(NAME, spelling.format(shared))) == contents(shared / NAME)


def test_a_folder_is_named_as_seen_from_here(shared, monkeypatch) -> None:
    monkeypatch.chdir(shared.parent)
    fetch(NAME, "shared")
    monkeypatch.chdir("/")
    (hub.fetched_dir() / NAME / "labels.json").unlink()
    assert "labels.json" in contents(fetch(NAME))


def test_another_address_of_the_files(shared, tmp_path) -> None:
    (tmp_path / "index").mkdir()
    write_index(
        tmp_path / "index",
        {NAME: read_index_of(shared)[NAME].model_copy(update={"address": str(shared / NAME)})},
    )
    assert contents(fetch(NAME, str(tmp_path / "index"))) == contents(shared / NAME)


def test_what_is_there_is_not_fetched_again(shared, address) -> None:
    fetch(NAME, address)
    (shared / NAME / "recipe.yaml").unlink()
    fetch(NAME, address)
    fetch(NAME)


def test_what_was_damaged_here_is_fetched_again(shared, address) -> None:
    folder = fetch(NAME, address)
    (folder / "recipe.yaml").write_text("spoilt")
    with pytest.raises(UserError, match=f"`zoo fetch {NAME}` brings it again"):
        hub.find_saved(NAME)
    assert contents(fetch(NAME)) == contents(shared / NAME), "its address is known"


def test_a_new_version_takes_the_place_of_the_old(shared, address) -> None:
    fetch(NAME, address)
    (shared / NAME / "labels.json").write_text("new")
    index(shared)
    assert contents(fetch(NAME, address))["labels.json"] == b"new"


@pytest.mark.parametrize("spoil", ["other bytes", "longer", "shorter", "gone"])
def test_a_file_that_is_not_the_one_is_refused(shared, address, spoil) -> None:
    path = shared / NAME / "model.weights.h5"
    content = path.read_bytes()
    if spoil == "gone":
        path.unlink()
    else:
        path.write_bytes(
            {"other bytes": content[::-1], "longer": content * 2, "shorter": content[:-1]}[spoil]
        )
    for where in (address, str(shared)):
        with pytest.raises(UserError, match="nothing was kept") as error:
            fetch(NAME, where)
        assert "model.weights.h5" in str(error.value)
    assert contents(hub.fetched_dir()).keys() <= {".lock"} and hub.here_names() == hub.saved_names()


def test_a_failed_fetch_leaves_the_old_version(shared, address) -> None:
    folder = fetch(NAME, address)
    before = contents(folder)
    (shared / NAME / "labels.json").write_text("new")
    index(shared)
    (shared / NAME / "labels.json").write_text("neW")
    with pytest.raises(UserError, match="sha256 differs"):
        fetch(NAME, address)
    assert contents(folder) == before and hub.find_saved(NAME) == folder


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("http://127.0.0.1:9/models", "could not be fetched"),
        ("ftp://127.0.0.1/models", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("no/such/folder", "could not be fetched"),
    ],
)
def test_an_index_that_is_not_there(shared, where, said) -> None:
    with pytest.raises(UserError, match=said):
        fetch(NAME, where)


def test_an_index_that_is_none(shared, address) -> None:
    (shared / "index.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not an index"):
        fetch(NAME, address)


def test_names(shared, address) -> None:
    with pytest.raises(UserError, match=f"no saved model is called 'colors', did you mean '{NAME}'"):
        fetch("colors", address)
    with pytest.raises(UserError, match="`zoo ls saved` lists them"):
        fetch("colors")
    with pytest.raises(UserError, match="comes with this package"):
        fetch("dates-multi-lstm-tiny", address)
    assert fetch("dates-multi-lstm-tiny") == hub.saved_dir() / "dates-multi-lstm-tiny"


def test_the_command(shared, address) -> None:
    done = CliRunner().invoke(main, ["fetch", NAME, "--index", address])
    assert done.exit_code == 0 and done.stdout == f"{hub.fetched_dir() / NAME}\n"
    assert NAME in CliRunner().invoke(main, ["ls", "saved"]).stdout
    done = CliRunner().invoke(main, ["fetch", "nothing", "--index", address])
    assert done.exit_code == 2 and "Traceback" not in done.output
