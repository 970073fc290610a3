"""The one place where what evaluators and stages measure enters core: numbers of any library become plain ones here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from omnitrain.api.results import Evaluation, Metric
from omnitrain.errors import PluginError


def checked(name: str, evaluation: Any) -> Evaluation:
    """Return an evaluation whose metrics hold plain numbers. name: the evaluator's label.

    Raises PluginError that names evaluator and metric for what is no number.
    """
    if not isinstance(evaluation, Evaluation):
        raise PluginError(f"The evaluator {name} returned {_shown(evaluation)}; it must return omnitrain.api.Evaluation.")
    if not isinstance(evaluation.metrics, Mapping):
        raise PluginError(f"The evaluator {name} gives {_shown(evaluation.metrics)} as metrics; give a mapping.")
    return replace(evaluation, metrics={key: _metric(name, key, metric) for key, metric in evaluation.metrics.items()})


def plain_values(owner: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Return named numbers of any library as plain ones. owner: who gives them, as a sentence's subject.

    Raises PluginError that names owner and key for what is no number.
    """
    return {key: value if type(value) is float else plain_number(value, owner, key) for key, value in values.items()}


def _metric(name: str, key: Any, metric: Any) -> Metric:
    owner = f"The evaluator {name}"
    if not isinstance(key, str):
        raise PluginError(f"{owner} names a metric {_shown(key)}; a name is text.")
    if not isinstance(metric, Metric):
        raise PluginError(f"{owner} gives {_shown(metric)} as the metric {key!r}; give omnitrain.api.Metric(value, n).")
    interval = metric.interval
    if interval is not None:
        try:
            low, high = interval
        except (TypeError, ValueError) as error:
            raise PluginError(f"{owner} gives {_shown(interval)} as the interval of {key!r}; give (low, high).") from error
        interval = (plain_number(low, owner, f"{key} (interval)"), plain_number(high, owner, f"{key} (interval)"))
    count = plain_number(metric.n, owner, f"{key} (n)")
    if not float(count).is_integer():
        raise PluginError(f"{owner} gives n {_shown(metric.n)} of {key!r}; it is a number of items.")
    return replace(metric, value=plain_number(metric.value, owner, key), n=int(count), interval=interval)


def plain_number(value: Any, owner: str, key: str) -> float:
    """Return a number of Python, numpy, torch or decimal as int or float, which JSON and every tracker know.

    Raises PluginError for text, None, complex numbers, arrays with dimensions and what is too large for a float.
    """
    found = value
    if hasattr(value, "item") and tuple(getattr(value, "shape", (0,))) == ():
        found = value.item()
    reason = "it is no number"
    if not isinstance(found, (str, bytes, bytearray, complex)) and not getattr(found, "shape", ()):
        try:
            number = float(found)
        except OverflowError:
            reason = "it is too large for a float"
        except (TypeError, ValueError):
            pass
        else:
            return int(found) if isinstance(found, int) else number
    raise PluginError(f"{owner} gives {key!r} as {_shown(value)}: {reason}; give an int or a float.")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no int of more than some thousand digits
        text = "..."
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
