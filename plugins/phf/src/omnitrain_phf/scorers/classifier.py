"""The probability of a label, by any sequence classifier of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omnitrain.engine import check_model_folder, explained_loading, find_pretrained
from omnitrain.errors import UsageError
from omnitrain_phf.configs.scorers import ClassifierConfig
from omnitrain_phf.scorers.base import installed


class Classifier:
    """The probability of one label under a sequence classifier of transformers."""

    def __init__(self, config: ClassifierConfig) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._config = config
        settings: dict[str, Any] = {"revision": config.revision, "trust_remote_code": False}
        path = find_pretrained(config.path, "scorer.path")
        if Path(path).is_dir():
            check_model_folder(Path(path))
        with explained_loading(path, "scorer.path"):
            self._tokenizer = AutoTokenizer.from_pretrained(path, **settings)
            loaded = AutoModelForSequenceClassification.from_pretrained(path, use_safetensors=True, **settings)
        self._model: Any = loaded.to(config.device).eval()
        names = self._model.config.label2id
        if config.label not in names:
            raise UsageError(f"scorer.label: {config.path} has no label {config.label!r}; it has {', '.join(map(str, names))}")
        self._index = int(names[config.label])

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return the label's probability for each text; texts longer than the model are cut."""
        import torch

        found: list[float] = []
        size = self._config.batch_size
        with torch.no_grad():
            for start in range(0, len(texts), size):
                batch = list(texts[start : start + size])
                inputs = self._tokenizer(batch, padding=True, truncation=True, return_tensors="pt").to(self._config.device)
                logits = self._model(**inputs).logits.float()
                chances = logits.sigmoid() if self._config.multi_label else logits.softmax(dim=-1)
                found += chances[:, self._index].tolist()
        return [value if text else 0.0 for value, text in zip(found, texts, strict=True)]

    @staticmethod
    def versions(config: ClassifierConfig) -> dict[str, str]:
        """Return that of transformers."""
        return installed("transformers")

    @staticmethod
    def notes(config: ClassifierConfig) -> list[str]:
        """Return nothing."""
        return []
