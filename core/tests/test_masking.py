"""A secret in an address is used, never written down; what stands for it tells two apart."""

import json
import re

import pytest
from children import recipe_text

from omnitrain.cli import run
from omnitrain.masking import lacking, mask
from omnitrain.recipes import fingerprint, load_recipe, locked_values

SECRET = "CANARY0123456789"
ADDRESSES = [
    "https://user:{}@example.org/t.txt",
    "https://{}@github.com/a/b",
    "https://user:{}@[::1]:80/x?y=1#z",
    "s3+https://a:{}@b.c",
    "https://example.org/t?token={}",
    "https://example.org/t?a=1&access_token={}&b=2",
    "https://bucket.s3.amazonaws.com/k?X-Amz-Signature={}&X-Amz-Date=1",
    "https://account.blob/x?sv=1&sig={}",
    "https://example.org/t#auth={}",
    "https://user:a:{}@example.org",
    "https://user:a@b{}@example.org",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_secret_is_masked_and_told_apart(address):
    hidden = mask(f"can't read {address.format(SECRET)} now")
    assert "CANARY" not in hidden
    assert re.search(r"\*\*\*[0-9a-f]{8}", hidden)
    assert hidden.startswith("can't read ")
    assert hidden.endswith(" now")
    assert mask(hidden) == hidden
    assert mask(address.format("other")) != mask(address.format("another"))
    assert list(lacking({"a": [mask(address.format(SECRET))]})) == ["a.0"]
    assert not list(lacking({"a": address.format(SECRET)}))


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/t.txt?page=2",
        "ssh://git@github.com/a/b",
        "what does ?token=abc mean",
        "user:password@host",
        "https://example.org:8080/a@b",
        "***01234567",
    ],
)
def test_what_holds_no_secret_stays(text):
    assert mask(text) == text
    assert not list(lacking(text))


def _written(folder):
    return [str(path) for path in folder.rglob("*") if path.is_file() and b"CANARY" in path.read_bytes()]


def _override(secret):
    return f"measure.evaluators.0.odd=1 if 'https://user:{secret}@example.org/t' else 0"


def test_run_holds_no_secret_and_says_that_it_is_needed_again(tmp_path, monkeypatch, capsys):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(recipe_text(fit={"steps": 2}, measure=True))
    monkeypatch.setenv("OMNITRAIN_TRACKERS", "none")
    begun = ["run", str(recipe), _override(SECRET), "--out", str(out)]
    assert run([*begun, "--time-limit", "0.000001"]) == 75
    assert not _written(out)
    capsys.readouterr()
    assert run(["run", str(out)]) == 2
    said = capsys.readouterr().err
    assert "measure.evaluators.0.odd: the secret of this address is not stored with the run" in said
    assert f"omnitrain run RECIPE --out {out}" in said
    assert run(begun) == 0
    assert not _written(out)
    capsys.readouterr()
    assert run(["run", str(recipe), _override("another"), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "belongs to another recipe" in said
    assert "another@" not in said
    assert run(["run", str(out)]) == 0
    assert json.loads((out / "measure/stage.json").read_text())["status"] == "finished"
    printed = capsys.readouterr()
    assert "CANARY" not in printed.out + printed.err


def test_dry_run_shows_no_secret(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(fit={"steps": 2}, measure=True))
    for more in ([], ["--json"]):
        run(["run", str(recipe), _override(SECRET), "--out", str(tmp_path / "run"), "--dry-run", *more])
        printed = capsys.readouterr()
        assert "CANARY" not in printed.out + printed.err


def test_recipes_that_differ_by_a_secret_differ(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(measure=True))
    digits = {fingerprint(locked_values(load_recipe(str(recipe), [_override(secret)]))) for secret in ("a", "b", "a")}
    assert len(digits) == 2
