"""The templates of pages that need nothing else: no script, no network."""

from __future__ import annotations

from functools import cache
from typing import Any

from omnitrain.report.numbers import number, numeric, numeric_columns, p_text, seconds
from omnitrain.report.palettes import palette_css
from omnitrain.report.svg import clean


def render_page(template: str, **values: Any) -> str:
    """Return a page's HTML; what is put into it is escaped."""
    text: str = _environment().get_template(template).render(**values)
    return text


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("omnitrain.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.globals.update(palette_css=palette_css)
    environment.filters.update(number=number, seconds=seconds, numeric=numeric, numeric_columns=numeric_columns, p_text=p_text)
    return environment


def _printable(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value
