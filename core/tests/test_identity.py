"""What a stage rests on outside of its recipe is part of it: changed inputs are refused, and equal values are equal."""

import fcntl
import hashlib
import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from omnitrain.api import Component, Config, InputModule, InputPath, Plugin, TellsInputs, UseArtifact, UseData
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.errors import DataError, Stopped, UsageError
from omnitrain.plugins import Registry, installed
from omnitrain.plugins.discovery import PluginState
from omnitrain.recipes import fingerprint, load_recipe, locked_values, resolve
from omnitrain.recipes.reading import Document
from omnitrain.runs import differences
from omnitrain.runs.contents import Contents

calls: list[str] = []
faults: list[Exception] = []


class TextConfig(Config):
    """Words of a file."""

    path: InputPath = "builtin"
    """The file."""
    beside: str = ""
    """A file that nothing marks."""
    scorer: InputModule | None = None
    """Code."""
    gamma: float = 2
    """A number whose default is whole."""


class ListedConfig(TextConfig):
    """Words of the files of a list."""

    def inputs(self) -> list[Path]:
        """The files of the list."""
        return [Path(self.path).parent / name for name in Path(self.path).read_text().split()]


class Words:
    """Data."""

    def __init__(self, config, context):
        self.batch = {}
        self.text = "".join(Path(p).read_text() for p in (config.path, config.beside) if Path(p).is_file())
        self.fingerprint = hashlib.sha256(self.text.encode()).hexdigest()


class ReadConfig(Config):
    """Reads."""

    data: UseData
    """Data."""


class UseCount(UseArtifact):
    """A count."""

    product = "count"


class TellConfig(Config):
    """Tells."""

    count: UseCount
    """Count."""


def read(config, run):
    """Leave the number of words; faults come in its middle."""
    calls.append(run.name)
    data, _ = run.data(config.data)
    if faults:
        raise faults.pop()
    with run.artifact("count", "number") as path:
        path.write_text(str(len(data.text.split())))


def tell(config, run):
    """Log a count."""
    calls.append(run.name)
    run.log(0, {"count": int(run.input(config.count).path.read_text())})


@pytest.fixture(autouse=True)
def _clean():
    calls.clear()
    faults.clear()


@pytest.fixture
def registry():
    """What is installed, and the components above."""
    kinds = [("data", "text", TextConfig, Words), ("data", "listed", ListedConfig, Words)]
    kinds += [("stage", "read", ReadConfig, read), ("stage", "tell", TellConfig, tell)]
    parts = tuple(Component(k, n, "x", f"{__name__}:{c.__name__}", f"{__name__}:{b.__name__}") for k, n, c, b in kinds)
    plugin = Plugin(name="words", summary="Counts words.", api="1.1", components=parts)
    return Registry([*installed().states, PluginState("words", "omnitrain-core", "1", "ok", plugin=plugin)])


@pytest.fixture
def run(tmp_path, registry):
    """Run two stages: one that reads data, one that takes from it."""
    (tmp_path / "mine.txt").write_text("one two three")

    def run(force=False, use="words/text", **settings):
        data = {"use": use, "path": str(tmp_path / "mine.txt"), **settings}
        stages = [{"name": "read", "use": "words/read", "data": data}]
        stages.append({"name": "tell", "use": "words/tell", "count": {"from": "read"}})
        recipe = resolve(Document({"stages": stages}, {}), "counting", registry)
        calls.clear()
        return run_recipe(recipe, tmp_path / "out", Options(quiet=True, force=force), registry)

    return run


def told(folder):
    """Return what the stages logged."""
    return [json.loads(line)["count"] for line in (folder.root / "metrics.jsonl").read_text().splitlines()]


def test_changed_data_under_an_interrupted_stage_are_refused_and_forced(run, tmp_path):
    faults.append(RuntimeError("killed"))
    with pytest.raises(RuntimeError):
        run()
    (tmp_path / "mine.txt").write_text("four")
    with pytest.raises(
        UsageError, match=r"'read'.* other inputs, which changed since: data\.path: .* with fingerprint \w{12} .* -> "
    ) as refused:
        run()
    assert "--force" in str(refused.value)
    assert "restore the files" in str(refused.value)
    assert refused.value.exit_code == 2
    assert calls == []
    assert told(run(force=True)) == [1]


def test_data_that_were_refused_can_be_corrected_in_their_place(run, tmp_path):
    faults.append(DataError("mine.txt:1: no word"))
    with pytest.raises(DataError):
        run()
    (tmp_path / "mine.txt").write_text("four")
    assert told(run()) == [1]


def test_changed_data_under_a_finished_stage_are_refused_and_forced(run, tmp_path):
    run()
    (tmp_path / "mine.txt").write_text("four")
    with pytest.raises(UsageError, match=r"data\.path"):
        run()
    assert told(run(force=True)) == [1]
    assert calls == ["read", "tell"]
    run()
    assert calls == []


def test_the_same_content_with_other_times_is_no_change(run, tmp_path):
    run()
    text = (tmp_path / "mine.txt").read_text()
    (tmp_path / "mine.txt").unlink()
    (tmp_path / "mine.txt").write_text(text)
    os.utime(tmp_path / "mine.txt", (1, 1))
    run()
    assert calls == []


def test_data_that_change_where_no_setting_names_them_are_refused_by_their_fingerprint(run, tmp_path):
    beside = tmp_path / "beside.txt"
    beside.write_text("four")
    faults.append(RuntimeError("killed"))
    with pytest.raises(RuntimeError):
        run(beside=str(beside))
    before = json.loads((tmp_path / "out/read/stage.json").read_text())["data"]["data"]
    beside.write_text("five six")
    now = hashlib.sha256(b"one two threefive six").hexdigest()
    with pytest.raises(UsageError, match=f"stage 'read' changed.*data had fingerprint {before[0]} and has {now}"):
        run(beside=str(beside))
    assert told(run(force=True, beside=str(beside))) == [4]
    assert calls == ["read", "read", "tell"]


def test_a_stage_takes_nothing_from_one_whose_inputs_changed_meanwhile(run, tmp_path, monkeypatch):
    folder = run()
    state = json.loads((folder.root / "tell/stage.json").read_text())
    (folder.root / "tell/stage.json").write_text(json.dumps({**state, "status": "running"}))
    real = Contents.of_path

    def changing(self, text):
        found = real(self, text)
        (tmp_path / "mine.txt").write_text("four")
        return found

    monkeypatch.setattr(Contents, "of_path", changing)
    with pytest.raises(UsageError, match=r"'tell'.*takes from stage 'read', whose inputs changed since it ran: data\.path"):
        run()


def test_inputs_that_are_gone_count_as_unchanged_and_names_are_only_names(run, tmp_path):
    run()
    (tmp_path / "mine.txt").unlink()
    run()
    assert calls == []
    record = json.loads((tmp_path / "out/read/stage.json").read_text())
    assert list(record["inputs"]) == ["data.path"]


def test_the_source_of_code_that_a_setting_names_is_an_input(run, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_scorer.py").write_text("def score(text): return 0\n")
    run(scorer="own_scorer:score")
    (tmp_path / "own_scorer.py").write_text("def score(text): return 1\n")
    with pytest.raises(UsageError, match=r"data\.scorer"):
        run(scorer="own_scorer:score")


def test_files_that_a_config_tells_of_are_inputs(run, tmp_path):
    (tmp_path / "index").write_text("a.bin b.bin")
    (tmp_path / "a.bin").write_bytes(b"1")
    (tmp_path / "b.bin").write_bytes(b"2")
    assert isinstance(ListedConfig(path=str(tmp_path / "index")), TellsInputs)
    run(use="words/listed", path=str(tmp_path / "index"))
    (tmp_path / "b.bin").write_bytes(b"3")
    with pytest.raises(UsageError, match=r"data\.inputs: .*a\.bin and 1 more"):
        run(use="words/listed", path=str(tmp_path / "index"))


def test_a_folder_is_its_names_and_contents_but_for_what_is_hidden_or_a_run(tmp_path):
    contents = Contents(tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/a.txt").write_text("a")
    (folder / "loop").symlink_to(folder)
    before = contents.of_path(str(folder))
    assert (before.files, before.bytes) == (1, 1)
    (folder / ".hidden").write_text("b")
    (folder / "runs").mkdir()
    for name in ("run.json", "recipe.lock.yaml"):
        (folder / "runs" / name).write_text("{}")
    assert contents.of_path(str(folder)) == before
    assert contents.of_path(str(folder / "s*")) is not None
    (folder / "sub/a.txt").rename(folder / "sub/b.txt")
    assert contents.of_path(str(folder)) != before
    assert contents.of_path("owner/name") is None
    assert contents.of_path("x" * 5000) is None


def test_a_link_to_nothing_counts_for_a_pattern_as_little_as_for_a_folder(tmp_path):
    contents = Contents(tmp_path / "cache")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/b.txt").symlink_to(tmp_path / "nowhere")
    assert contents.of_path(str(tmp_path / "mine/*.txt")) is None
    (tmp_path / "mine/a.txt").write_text("a")
    with_link = contents.of_path(str(tmp_path / "mine/*.txt"))
    (tmp_path / "mine/b.txt").unlink()
    assert contents.of_path(str(tmp_path / "mine/*.txt")) == with_link
    assert (with_link.files, with_link.bytes) == (1, 1)


def test_settled_files_are_read_once_and_again_when_they_change(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    path = tmp_path / "a.bin"
    path.write_bytes(b"1")
    monkeypatch.setattr("omnitrain.api.digests._SETTLED_NS", -1)
    opened = []
    real = Contents.of_path.__globals__["read_digest"]
    monkeypatch.setitem(Contents.of_path.__globals__, "read_digest", lambda p, a=None: (opened.append(p), real(p, a))[1])
    first = Contents(tmp_path / "cache").of_path(str(path))
    assert Contents(tmp_path / "cache").of_path(str(path)) == first
    assert len(opened) == 1
    path.write_bytes(b"2")
    assert Contents(tmp_path / "cache").of_path(str(path)) != first


def test_a_whole_default_of_a_real_number_is_the_same_when_the_lock_file_is_read(run, tmp_path, registry):
    assert TextConfig().gamma == 2.0
    assert isinstance(TextConfig().gamma, float)
    folder = run()
    recipe = load_recipe(str(folder.root / "recipe.lock.yaml"), registry=registry)
    assert fingerprint(locked_values(recipe)) == folder.record["fingerprint"]
    calls.clear()
    run_recipe(recipe, folder.root, Options(quiet=True), registry)
    assert calls == []


def test_differences_are_named_whenever_values_differ():
    assert differences({"a": 16, "b": [1.0]}, {"a": 16.0, "b": [1]}) == []
    assert differences({"a": None}, {}) == ["a: None -> not given"]
    assert differences({"a": True}, {"a": 1}) == ["a: True -> 1"]


def test_another_fingerprint_of_the_same_code_is_not_called_other_code(run):
    folder = run()
    path = folder.root / "read/stage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fingerprint": "0" * 32}))
    with pytest.raises(UsageError) as error:
        run()
    assert "other code" not in str(error.value)
    assert "stage.json was changed" in str(error.value)


class Bar:
    """Ends the reading at its n-th piece."""

    def __init__(self, pieces):
        self.pieces = pieces

    def __call__(self, label, total):
        return nullcontext(self)

    def advance(self, amount):
        self.pieces -= 1
        if self.pieces < 0:
            raise Stopped("asked")


def test_a_long_reading_can_be_stopped_and_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("omnitrain.runs.contents.BAR_BYTES", 0)
    monkeypatch.setattr("omnitrain.api.digests._SETTLED_NS", -1)
    for name in ("cache", "mine"):
        (tmp_path / name).mkdir()
    for name in "abc":
        (tmp_path / "mine" / name).write_text(name)
    with pytest.raises(Stopped):
        Contents(tmp_path / "cache", Bar(2)).of_path(str(tmp_path / "mine"))
    found = Contents(tmp_path / "cache", Bar(1)).of_path(str(tmp_path / "mine"))
    assert found == Contents(tmp_path / "other").of_path(str(tmp_path / "mine"))


def test_a_process_waits_while_another_one_reads_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("omnitrain.runs.contents.BAR_BYTES", 0)
    monkeypatch.setattr("omnitrain.runs.contents.WAIT_S", 0)
    (tmp_path / "digests").mkdir()
    (tmp_path / "a").write_text("a")
    path = str(tmp_path / "a")
    lock = open(tmp_path / "digests" / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.lock", "a")  # noqa: SIM115
    fcntl.flock(lock, fcntl.LOCK_EX)
    waited = []

    class Other(Bar):
        def advance(self, amount):
            if amount == 0:
                waited.append(amount)
                lock.close()

    assert Contents(tmp_path, Other(0)).of_path(path).files == 1
    assert waited == [0]
