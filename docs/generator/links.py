"""Pages of the site by the files of the repository that they show, and links between them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]*)\]\((?P<target>[^)\s]+)\)")
_PICTURE = re.compile(r"!\[(?P<text>[^\]\n]*)\]\((?P<target>[^):\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def documents() -> dict[str, str]:
    """Return the pages that are documents outside docs/: file in the repository to page of the site."""
    found = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
    folders = [ROOT / "core", *sorted(ROOT.glob("packages/*/")), *sorted(ROOT.glob("plugins/*/"))]
    for folder in folders:
        if (folder / "README.md").is_file():
            found[(folder / "README.md").relative_to(ROOT).as_posix()] = f"packages/{folder.name}.md"
    return found


def pages() -> dict[str, str]:
    """Return every page by the file that it shows."""
    own = {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    return own | documents()


def pictures(source: str) -> dict[str, str]:
    """Return the files that a document outside docs/ shows: file in the repository to file of the site.

    source: the document's path in the repository. Two packages may give their pictures the same name.
    """
    folder = posixpath.dirname(source)
    beside = documents()[source].removesuffix(".md")
    found = _PICTURE.finditer(_FENCE.sub("", (ROOT / source).read_text(encoding="utf-8")))
    return {posixpath.join(folder, match["target"]): f"{beside}/{match['target']}" for match in found}


def relinked(text: str, source: str) -> str:
    """Return a document whose links to files of the repository lead to pages of the site, and whose pictures are there.

    source: the document's path in the repository. A link to a file that is no page becomes its text.
    """
    known = pages()
    folder = posixpath.dirname(source)
    here = posixpath.dirname(known[source])

    def link(match: re.Match[str]) -> str:
        path, _, anchor = match["target"].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        page = known.get(posixpath.normpath(posixpath.join(folder, path)))
        if page is None:
            return match["text"]
        return f"[{match['text']}]({posixpath.relpath(page, here or '.')}{'#' if anchor else ''}{anchor})"

    def picture(match: re.Match[str]) -> str:
        shown = f"{posixpath.basename(known[source]).removesuffix('.md')}/{match['target']}"
        return f"![{match['text']}]({shown})"

    def replaced(part: str) -> str:
        return _LINK.sub(link, _PICTURE.sub(picture, part) if source in documents() else part)

    return "".join(part if part.startswith("```") else replaced(part) for part in _FENCE.split(text))
