"""What mkdocs calls while it builds the site: generated pages are made here and never stored."""

from __future__ import annotations

import logging
import re
from typing import Any

from commands import commands_reference
from components import components_index, plugin_page, plugins_with_components
from links import ROOT, documents, pages, pictures, relinked
from mkdocs.structure.files import File, Files

GENERATED = {"<!-- commands -->": commands_reference, "<!-- components -->": components_index}

# A warning fails a strict build.
LOG = logging.getLogger("mkdocs.hooks.omnitrain")
LOADED = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?https?:|<link[^>]*\brel=[\"']?stylesheet[^>]*https?:")


def on_config(config: Any) -> Any:
    """Put the pages of plugins and packages into the navigation."""
    for section in _sections(config.nav):
        if "Components" in section:
            section["Components"] += [f"components/{name}.md" for name in plugins_with_components()]
        if "Packages" in section:
            section["Packages"] += [{page[9:-3]: page} for page in documents().values() if page.startswith("packages/")]
    return config


def _sections(entries: list[Any]) -> list[dict[str, Any]]:
    found = [entry for entry in entries if isinstance(entry, dict)]
    return found + [e for section in found for value in section.values() if isinstance(value, list) for e in _sections(value)]


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that have no file in docs/, and what they show."""
    for source, page in documents().items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
        for picture, shown in pictures(source).items():
            files.append(File.generated(config, shown, content=(ROOT / picture).read_bytes()))
    for name in plugins_with_components():
        files.append(File.generated(config, f"components/{name}.md", content=plugin_page(name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Fill in what is generated, and turn links to files of the repository into links to pages."""
    source = {shown: name for name, shown in pages().items()}.get(page.file.src_uri)
    text = markdown if source is None else relinked(markdown, source)
    for marker, content in GENERATED.items():
        if marker in text:
            text = text.replace(marker, content())
    return text


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Check that a page loads nothing from another host."""
    for match in LOADED.findall(output):
        LOG.warning("%s loads something from another host: %s", page.file.src_uri, match)
    return output
