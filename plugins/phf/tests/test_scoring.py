"""The score stage: records, chunks that survive a kill, processes, statistics."""

import json
from contextlib import contextmanager

import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_phf.configs.stages import ScoreConfig
from omnitrain_phf.scorers import scoring
from omnitrain_phf.scorers.scoring import HEADER, RECORDS, STATISTICS, scored, source_identity


def config_of(**settings):
    settings = {"path": "builtin:contacts", "contacts_sentences": 300, "chunk_characters": 3000, **settings}
    return ScoreConfig.model_validate_json(json.dumps(settings))


def lines_of(folder):
    return [json.loads(line) for line in (folder / RECORDS).read_text("utf-8").splitlines()]


def test_records_are_in_the_papers_format(make_context):
    context = make_context()
    record = lines_of(scored(config_of(), context.workspace, context))[0]
    assert set(record) == {"texts", "scores", "avg_score", "num_sents", "meta"}
    assert record["num_sents"] == len(record["texts"]) == len(record["scores"])
    assert record["avg_score"] == pytest.approx(sum(record["scores"]) / len(record["scores"]))


def test_python_tree_is_scored_line_by_line_and_kept_whole(make_context, tmp_path):
    context = make_context()
    source = tmp_path / "tree" / "inner"
    source.mkdir(parents=True)
    text = "import os, sys\r\n\r\n\r\nx = 1 \ny = 2"
    (source / "a.py").write_bytes(text.encode())
    (source / "empty.py").write_bytes(b"")
    config = config_of(path=str(tmp_path / "tree"), segments="lines", scorer={"name": "pycodestyle"})
    (record,) = lines_of(scored(config, context.workspace, context))
    assert "".join(record["texts"]) == record["org_text"] == text
    assert record["num_lines"] == 5
    assert record["scores"][0] > 0
    assert record["meta"] == {"id": "inner/a.py"}


def test_killed_job_goes_on_and_scores_nothing_twice(make_context, monkeypatch):
    config = config_of()
    once = make_context()
    expected = (scored(config, once.workspace, once) / RECORDS).read_bytes()
    context = type(once)(once.workspace.with_name("killed"))
    calls = []
    real = scoring.score_chunk

    def dying(settings, segments, chunk):
        calls.append([name for name, _ in chunk.documents])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(settings, segments, chunk)

    monkeypatch.setattr(scoring, "score_chunk", dying)
    with pytest.raises(KeyboardInterrupt):
        scored(config, context.workspace, context)
    found = (scored(config, context.workspace, context) / RECORDS).read_bytes()
    assert found == expected
    names = [name for part in (*calls[:2], *calls[3:]) for name in part]
    assert len(names) == len(set(names)) == len(expected.splitlines())
    before = len(calls)
    scored(config, context.workspace, context)
    assert len(calls) == before
    assert not list(context.workspace.rglob("chunks"))


def test_damaged_chunk_is_scored_again(make_context, monkeypatch):
    config, once = config_of(), make_context()
    expected = (scored(config, once.workspace, once) / RECORDS).read_bytes()
    context = type(once)(once.workspace.with_name("damaged"))
    real = scoring.score_chunk

    def dying(settings, segments, chunk):
        if chunk.number == 3:
            raise KeyboardInterrupt
        return real(settings, segments, chunk)

    monkeypatch.setattr(scoring, "score_chunk", dying)
    with pytest.raises(KeyboardInterrupt):
        scored(config, context.workspace, context)
    monkeypatch.setattr(scoring, "score_chunk", real)
    (place,) = context.workspace.rglob("items.jsonl")
    lines = place.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    place.write_bytes(b"".join([lines[0], lines[1].replace(b"0.", b"1.", 1), lines[2], lines[3][:50]]))
    assert (scored(config, context.workspace, context) / RECORDS).read_bytes() == expected


# What a worker imports for it is little.
LIGHT = {"segments": "lines", "scorer": {"name": "pycodestyle"}}


def test_processes_write_the_same_bytes(make_context):
    one = make_context()
    two = type(one)(one.workspace.with_name("two"))
    folders = [scored(config_of(processes=n, **LIGHT), c.workspace, c) for n, c in ((1, one), (2, two))]
    for name in (RECORDS, HEADER, STATISTICS):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_statistics_tell_share_and_suggested_threshold(make_context, tmp_path):
    context = make_context()
    path = tmp_path / "texts.jsonl"
    texts = ["Nothing here. Write to ab@mail.com now.", "All is well. Quite well.", "Call (212) 555-7788. Bye."]
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), "utf-8")
    folder = scored(config_of(path=str(path)), context.workspace, context)
    found = json.loads((folder / STATISTICS).read_text("utf-8"))
    assert found["documents"] == 3
    assert found["segments"] == 6
    assert found["share of segments above 0"] == pytest.approx(2 / 6)
    averages = sorted(record["avg_score"] for record in lines_of(folder))
    assert found["suggested filter threshold"] == averages[1]


def test_scores_are_kept_by_text_scorer_version_and_options(monkeypatch):
    plain = source_identity(config_of())
    assert source_identity(config_of(processes=2)) == plain
    assert source_identity(config_of(contacts_sentences=306)) != plain
    assert source_identity(config_of(scorer={"name": "scrubadub", "skype": True})) != plain
    monkeypatch.setattr("omnitrain_phf.scorers.base.version", lambda name: "9.9")
    assert source_identity(config_of()) != plain


def test_bytes_that_are_no_text_are_refused_with_line_or_left_out(make_context, tmp_path):
    context = make_context()
    (tmp_path / "a.txt").write_bytes(b"fine\n\xff\xfe\n")
    (tmp_path / "b.txt").write_bytes(b"Good text here. And more.")
    with pytest.raises(DataError, match=r"a\.txt:2: not UTF-8"):
        scored(config_of(path=str(tmp_path)), context.workspace, context)
    kept = scored(config_of(path=str(tmp_path), malformed="skip"), context.workspace, context)
    assert [record["meta"]["id"] for record in lines_of(kept)] == ["b.txt"]


def test_unknown_builtin_text_is_told_with_the_nearest(make_context):
    context = make_context()
    with pytest.raises(UsageError, match="Did you mean 'builtin:contacts'"):
        scored(config_of(path="builtin:contact"), context.workspace, context)


def test_request_to_stop_ends_scoring_and_leaves_what_was_done(make_context):
    class Stops:
        left = 3

        def advance(self, amount=1, **values):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    context = make_context()

    @contextmanager
    def progress(label, total=None):
        yield Stops()

    context.progress = progress
    with pytest.raises(KeyboardInterrupt):
        scored(config_of(processes=2, **LIGHT), context.workspace, context)
    (place,) = context.workspace.rglob("items.jsonl")
    assert 2 <= len(place.read_bytes().splitlines()) - 1 < 15
