"""Data and objectives of all installed plugins: where the batches fit they train together, elsewhere they are refused."""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from omnitrain.api.fields import misfits, parse_field
from omnitrain.engine import Options, run_recipe, scratch_run
from omnitrain.errors import UsageError
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe, resolve_component

TEXT = {"use": "language/text", "path": "builtin", "max_documents": 150}
TOKENIZER = {"vocabulary_size": 512, "sentinels": 32}
PAIRS = {"path": "pairs.jsonl", "tokenizer": TOKENIZER}
ROWS = {**PAIRS, "template": "orca", "length": 128}
BLOCKS = {"text": TEXT, "tokenizer": TOKENIZER, "length": 32}
DENOISING = {"text": TEXT, "tokenizer": TOKENIZER, "inputs_length": 48, "join_documents": 16}
SCORED = {
    "score": {"path": "builtin:contacts", "contacts_sentences": 300, "scorer": {"name": "scrubadub"}},
    "tokenizer": {"vocabulary_size": 512},
    "length": 32,
    "shuffle_buffer": 16,
}
PROMPTED = {"facts": 60, "train_facts": 24, "valid_facts": 8, "tokenizer": TOKENIZER, "tokenizer_text": {"use": "eft/facts"}}
GRAPHS = {"graphs": {"use": "w2pgnn/graphs", "path": "karate", "positions": 8}, "positions": 8}
MOLECULES = {"tasks": {"weight": {}, "forward": {}}, "most_rows": 12, "length": 120, "system": "Answer."}
WORLD = {"area": 16, "worlds": 2, "cell": 4, "steps": 60}
RECORDINGS = {"path": "builtin", "builtin": {"world": WORLD, "clips": 6, "steps": 48}, "image_size": 32, "valid_fraction": 0.3}
TABLES = {
    "embedded": {"tables": 60, "rows": 3, "texts": 2},
    "inputs_length": 128,
    "tokenizer": {"vocabulary_size": 400, "extra_tokens": ["<mask>"]},
}
IMAGES = {"size": 8, "channels": 1, "transform": "resize"}

# The smallest settings of each data component that gives batches to train on, once for each kind of batch.
DATA: dict[str, dict[str, dict[str, Any]]] = {
    "language/blocks": {"wrapped": BLOCKS, "packed": {**BLOCKS, "packing": "packed"}},
    "language/pairs": {"encoder-decoder": PAIRS, "decoder-only": {**PAIRS, "layout": "decoder-only"}},
    "language/instructions": {"packed": ROWS, "padded": {**ROWS, "layout": "padded"}},
    "language/preferences": {"": {"path": "preferred.jsonl", "template": "orca", "length": 128, "tokenizer": TOKENIZER}},
    "ul2/denoising": {"encoder-decoder": DENOISING, "decoder-only": {**DENOISING, "layout": "decoder-only"}},
    "phf/scored-text": {
        "plain": SCORED,
        "control tokens": {**SCORED, "control": {"threshold": 0.0, "drop_token_fraction": 0.1}},
    },
    "phf/scored-batches": {
        "completions": {"data": {"use": "language/pairs", **PAIRS, "layout": "decoder-only"}, "segments": "sentences"},
        "denoising": {
            "data": {"use": "ul2/denoising", **DENOISING, "layout": "decoder-only"},
            "control": {"threshold": 0.0, "drop_token_fraction": 0.1},
        },
        "dialogues": {
            "data": {"use": "eft/dialogues", **PROMPTED, "style": "helpful"},
            "control": {"threshold": 0.0, "drop_token_fraction": 0.1},
        },
    },
    "core/mixture": {
        "of three plugins": {
            "members": {
                "pairs": {"data": {"use": "language/pairs", **PAIRS, "layout": "decoder-only"}, "weight": 2},
                "denoised": {"data": {"use": "ul2/denoising", **DENOISING, "layout": "decoder-only"}},
                "dialogues": {"data": {"use": "eft/dialogues", **PROMPTED, "style": "helpful"}},
            },
            "unit": "update",
            "order": "alternating",
            "keep": ["attention_mask", "prefix_mask", "task_ids", "part_ids"],
            "facts_of": "denoised",
        },
        "of two layouts alike": {
            "members": {
                "pairs": {"data": {"use": "language/pairs", **PAIRS}},
                "denoised": {"data": {"use": "ul2/denoising", **DENOISING}},
            },
            "drop": ["task_ids"],
            "facts_of": "denoised",
        },
    },
    "eft/dialogues": {"": {**PROMPTED, "style": "helpful"}},
    "eft/preferences": {"": {**PROMPTED, "chosen": "safe", "rejected": "helpful"}},
    "w2pgnn/walks": {"": {**GRAPHS, "visits": 16}},
    "w2pgnn/augmentations": {"": GRAPHS},
    "w2pgnn/masked": {"": {**GRAPHS, "visits": 16, "classes": 6}},
    "lae/images": {"": {**IMAGES, "layout": "glyphs", "per_class": 5}},
    "lae/class-incremental": {
        "": {"data": {"use": "lae/images", **IMAGES, "layout": "digits"}, "classes_per_task": 2, "tasks": 3},
    },
    "omnimol/tasks": {"graphs": MOLECULES, "plain": {**MOLECULES, "graphs": False}},
    "control/episodes": {"": {}},
    "control/trajectories": {"steps": {}, "windows": {"context": 4}},
    "omnitab/questions": {"": {**TABLES, "targets_length": 24}},
    "omnitab/pretraining": {"": {**TABLES, "context_length": 48, "synthetic": "builtin", "sql": "builtin"}},
    "l2m/tasks": {
        "": {"tasks": [{"name": "plane-straight"}, {"name": "rail-straight"}], "episodes": 6, "valid_fraction": 0.34},
    },
    "vpt/recordings": {
        "windows": {**RECORDINGS, "layout": "windows", "steps": 16},
        "streams": {**RECORDINGS, "layout": "streams", "steps": 8},
    },
}
# Data that other data and stages read, with what it takes to build them: no objective trains on their batches.
RAW: dict[str, dict[str, Any]] = {
    "language/text": {},
    "eft/facts": {"facts": 60},
    "w2pgnn/graphs": {},
}
# What only a stage can leave; the tiny recipes of their plugins train or measure on them.
LEFT_BY_STAGES = {"w2pgnn/saved"}
GIN = {"use": "w2pgnn/gin", "hidden": 16, "output": 16, "layers": 2}
# A small model for each objective: by its address, or by a field that it reads.
MODELS: dict[str, dict[str, Any]] = {
    "phf/awr": {"use": "phf/causal", "size": "tiny", "max_length": 128, "prefix_attention": True, "value_head": {}},
    "w2pgnn/masking": {**GIN, "head": "masking"},
    "omnimol/answers": {
        "use": "omnimol/model",
        "language": {"use": "language/causal", "style": "llama", "size": "tiny", "max_length": 128},
        "graph": {"layers": 2, "width": 16},
    },
    "decoder_input_ids": {"use": "language/t5", "size": "tiny"},
    "edge_index": GIN,
    "l2m/actions": {"use": "l2m/mddt", "size": "tiny", "width": 16, "steps": 40},
    "vpt/cloning": {"use": "vpt/policy", "size": "tiny"},
    "vpt/inverse": {"use": "vpt/idm", "size": "tiny", "head_gain": 0.01},
    "observations": {"use": "control/mlp", "width": 16, "layers": 1},
    "pixel_values": {"use": "lae/vision", "size": "tiny"},
    "input_ids": {"use": "language/causal", "size": "tiny", "max_length": 128, "prefix_attention": True},
}

# VPT's inverse model guesses 20 keys and two camera angles of 11 bins at once: 18.7 nats with heads that begin near zero; other
# first losses are below.
LARGEST_LOSS = 19

# Settings of an objective that are too large for four examples: a queue of 16,384 keys that no batch has filled yet.
OBJECTIVES: dict[str, dict[str, Any]] = {"w2pgnn/moco": {"queue": 32}}

CASES = [
    pytest.param(data, settings, objective, id=" ".join(filter(None, (data, variant, "x", objective))))
    for (data, _), (objective, _) in product(installed().components("data"), installed().components("objective"))
    if data not in LEFT_BY_STAGES
    for variant, settings in (DATA.get(data) or {"": RAW[data]}).items()
]


def model_for(objective: str, needed: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a small model that the objective can call."""
    return next(model for name, model in MODELS.items() if name == objective or name in needed)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the settings above name."""
    lines = [{"inputs": f"add {i} and {i * 7 % 13}", "targets": str(i + i * 7 % 13)} for i in range(60)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pairs = [{"prompt": line["inputs"], "chosen": line["targets"], "rejected": f"about {i}"} for i, line in enumerate(lines)]
    (tmp_path / "preferred.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fields(address: str, kind: str, settings: Mapping[str, Any]) -> Mapping[str, str]:
    """The fields that a component declares: a batch's, or what an objective needs."""
    registry = installed()
    config = resolve_component(address, kind, settings, registry, address)
    with scratch_run(registry) as run:
        built = registry.builder(registry.component(address, kind))(config, run)
    declared: Mapping[str, str] = built.batch if kind == "data" else built.needs
    return declared


@pytest.mark.parametrize(("data", "settings", "objective"), CASES)
def test_pair_trains_where_the_fields_fit_and_is_refused_elsewhere(
    data: str, settings: dict[str, Any], objective: str, folder: Path
) -> None:
    offered, needed = fields(data, "data", settings), fields(objective, "objective", {})
    recipe = {
        "stages": [
            {
                "name": "train",
                "use": "core/fit",
                "data": {"use": data, **settings},
                "model": model_for(objective, needed),
                "objective": {"use": objective, **OBJECTIVES.get(objective, {})},
                "fit": {"steps": 1, "batch_size": 4, "evaluate_batches": 1, "learning_rate": 1e-3, "log_every": 1},
            }
        ]
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    resolved = load_recipe("recipe.yaml")
    problems = misfits(offered, needed)
    if problems:
        with pytest.raises(UsageError) as refused:
            run_recipe(resolved, folder / "out", Options(quiet=True))
        said = str(refused.value)
        missing = [name for name, spec in needed.items() if name not in offered and not parse_field(spec).optional]
        assert [name for name in missing if f"field {name!r}" not in said] == []
        assert [text for text in (*problems, data, objective) if text not in said] == []
        assert not (folder / "out/train/model").exists()
        return
    run_recipe(resolved, folder / "out", Options(quiet=True))
    lines = [json.loads(line) for line in (folder / "out/metrics.jsonl").read_text().splitlines()]
    training = next(line for line in lines if line["split"] == "train")
    assert 0 < training["loss"] < LARGEST_LOSS
    assert training["gradient_norm"] > 0
    assert list((folder / "out/train/model").glob("*.safetensors"))


def test_every_text_data_finds_an_objective_and_every_objective_a_data() -> None:
    """Otherwise the test above would pass with every pair refused."""
    registry = installed()
    needs = {address: fields(address, "objective", {}) for address, _ in registry.components("objective")}
    found = {
        (address, objective)
        for address, variants in DATA.items()
        for settings in variants.values()
        for objective, needed in needs.items()
        if not misfits(fields(address, "data", settings), needed)
    }
    assert {address for address, _ in found} == set(DATA)
    assert {objective for _, objective in found} == set(needs)


def test_data_with_two_lengths_is_refused_by_an_objective_that_reads_one() -> None:
    """Cut or padded to the same length by chance, such a batch would train on nonsense without a word."""
    offered = {"input_ids": "int64[batch, input_length]", "labels": "int64[batch, target_length]"}
    needed = {"input_ids": "int64[batch, length]", "labels": "int64[batch, length]"}
    assert len(misfits(offered, needed)) == 1
    assert "'labels'" in misfits(offered, needed)[0]
    assert misfits(needed, offered) == []
    assert misfits(needed, needed) == []
