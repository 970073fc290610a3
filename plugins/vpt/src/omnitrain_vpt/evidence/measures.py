"""From the runs of claims to their numbers."""

from __future__ import annotations

from collections.abc import Mapping

from omnitrain.api import FinishedRun

_INVERSE = {
    "IDM, 100 clips": "measure-idm",
    "IDM, 20 clips": "measure-idm-few",
    "causal, 100 clips": "measure-causal",
    "without convolution, 100 clips": "measure-without-conv",
}
_CLONED = {
    "labelled video": "foundation",
    "poorly labelled video": "foundation-poor",
    "truly labelled video": "truly-labelled",
    "labelled play": "labelled-only",
}
_LEASHED = {
    "with leash": "play-with-leash",
    "without leash": "play-without-leash",
    "from scratch": "play-from-scratch",
    "cloned": "play-cloned",
}
LATER = ("crafting_table", "stone_pickaxe", "iron_pickaxe", "diamond")
EARLY = ("log", "crafting_table", "wooden_pickaxe")


def inverse(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Share of active frames with all keys right, of each model; and its accuracy per key and camera R2."""
    out = {}
    for name, stage in _INVERSE.items():
        found = runs["inverse"].values(stage, "vpt/actions")
        out[name] = found["active_accuracy"]
        for key in ("keypress_accuracy", "always_null_accuracy", "macro_f1", "camera_r2", "nll"):
            out[f"{name}, {key}"] = found[key]
    return out


def played(run: FinishedRun, stages: Mapping[str, str]) -> dict[str, float]:
    """Return the mean item reward of each policy, and its rates of the later items."""
    out = {}
    for name, stage in stages.items():
        found = run.values(stage, "vpt/episodes")
        out[name] = found["reward"]
        # An item that nobody obtained is not in the list.
        out.update({f"{name}, {item}": found.get(item, 0.0) for item in LATER})
    return out


def rewards(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """What the policies of the chain obtain, and how well they predict other players."""
    chain = runs["chain"]
    out = played(chain, {**{name: f"play-{stage}" for name, stage in _CLONED.items()}, "fine-tuned": "play-early-game"})
    for name, stage in _CLONED.items():
        out[f"{name}, nll"] = chain.values(f"predict-{stage}", "vpt/likelihood")["nll"]
    return out


def leashed(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """What policies obtain that were reinforced with the leash, without it, and from random weights."""
    return played(runs["leash"], _LEASHED)


def early_skills(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Mean rate of the early items, before and after fine-tuning."""
    out = {}
    for name, stage in {"foundation": "play-foundation", "fine-tuned": "play-early-game"}.items():
        found = runs["chain"].values(stage, "vpt/episodes")
        out[name] = sum(found.get(item, 0.0) for item in EARLY) / len(EARLY)
        out.update({f"{name}, {item}": found.get(item, 0.0) for item in EARLY})
    return out
