from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

import omnitrain_language
from omnitrain.api import Config, load_reference
from omnitrain_language.plugin import PLUGIN, omnitrain_plugin


def loaded_by(statement: str, names: list[str]) -> str:
    code = f"import sys; {statement}; print([m for m in {names!r} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_describing_the_plugin_imports_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "transformers", "pydantic", "tokenizers", "peft"]
    assert loaded_by("import omnitrain_language.plugin", heavy) == "[]"


def test_configs_need_neither_torch_nor_numpy() -> None:
    assert loaded_by("import omnitrain_language.configs", ["torch", "numpy", "transformers"]) == "[]"


def test_every_reference_leads_somewhere_and_every_setting_is_described() -> None:
    assert omnitrain_plugin() is PLUGIN
    for component in PLUGIN.components:
        config = load_reference(component.config)
        assert issubclass(config, Config)
        assert callable(load_reference(component.build))
        assert all(field.description for field in config.model_fields.values()), component.name
        if component.predictor:
            assert callable(load_reference(component.predictor))


def test_recipes_name_only_what_exists() -> None:
    names = {f"language/{c.name}": c for c in PLUGIN.components}
    folder = Path(omnitrain_language.__file__).parent
    for recipe in PLUGIN.recipes:
        text = (folder / recipe.path.split(":")[1]).read_text("utf-8")
        for stage in yaml.safe_load(text)["stages"]:
            used = [stage.get(k) for k in ("data", "model", "objective")] + stage.get("evaluators", [])
            for use in filter(None, used):
                if "use" in use:
                    settings = {k: v for k, v in use.items() if k != "use"}
                    load_reference(names[use["use"]].config).model_validate(settings)
