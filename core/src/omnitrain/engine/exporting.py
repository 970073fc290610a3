"""A saved model as a plain Hugging Face folder: adapters merged, nothing of omnitrain needed to load it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from omnitrain.api.checksums import CHECKSUMS, sums_text
from omnitrain.engine.models import read_component
from omnitrain.engine.opening import load_saved_model
from omnitrain.engine.rng import isolated
from omnitrain.engine.scratch import scratch_run
from omnitrain.errors import UsageError
from omnitrain.plugins import Registry
from omnitrain.runs.directory import COMPONENT_FILE
from omnitrain.runs.files import apply_umask, write_whole

WEIGHTS = (".safetensors", ".index.json")
MADE_ANEW = (COMPONENT_FILE, CHECKSUMS, "config.json", "generation_config.json", "README.md")
OF_ADAPTERS = "adapter_"


def export_model(directory: Path, target: Path, registry: Registry) -> list[str]:
    """Write the model in a folder to a new folder in Hugging Face format and return the names of its files.

    Low-rank adapters are merged into the weights below them; what else lies beside the weights (tokenizer) is copied.
    Raises UsageError when the target exists or the model has no Hugging Face format, EnvironmentFault for a damaged folder.
    """
    if target.exists():
        raise UsageError(f"{target} exists; name a folder that does not.")
    address = read_component(directory)["use"]
    with scratch_run(registry, quiet=False) as run, isolated(run.seed("model")):
        model: Any = load_saved_model(directory, run, registry)
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        if not hasattr(model, "save_pretrained"):
            raise UsageError(
                f"The model {address} in {directory} has no Hugging Face format; its weights are {directory}/*.safetensors."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as name:
            folder = Path(name) / target.name
            model.save_pretrained(folder)
            for path in companions(directory):
                shutil.copy2(path, folder / path.name)
            write_whole(folder / CHECKSUMS, sums_text(folder))
            apply_umask(folder)
            folder.rename(target)
    return sorted(path.name for path in target.iterdir())


def companions(directory: Path) -> list[Path]:
    """Return the files beside a saved model's weights that belong to a merged one too, such as its tokenizer.

    What is written with the merged model, or is about adapters that it has no more, is not among them.
    """
    return sorted(
        path
        for path in directory.iterdir()
        if path.is_file()
        and not path.name.endswith(WEIGHTS)
        and path.name not in MADE_ANEW
        and not path.name.startswith(OF_ADAPTERS)
    )
