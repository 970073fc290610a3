"""The README: what a stranger reads first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination

CLAIMS_BEGIN, CLAIMS_END = "<!-- claims -->", "<!-- /claims -->"
_HEADING = re.compile(r"^#{2,}\s.*(fidelity|deviation).*$", re.IGNORECASE | re.MULTILINE)


def sections(examination: Examination) -> Iterator[str]:
    """Title, how to install and run it, how faithful it is, and the place of its claims."""
    text = _text(examination)
    name, distribution = examination.plugin.name, examination.state.distribution
    title = next((line for line in text.splitlines() if line.strip()), "")
    if not re.match(r"#\s", title) or not any(word.lower() in title.lower() for word in (name, distribution)):
        yield f"The README does not begin with a title that names {distribution}: begin it with '# {distribution}'."
    commands = "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    if f"pip install {distribution}" not in commands:
        yield f"The README does not show how to install it: add a code block with 'pip install {distribution}'."
    if f"omnitrain run {name}" not in commands:
        yield f"The README shows no first command: add a code block with 'omnitrain run {name}'."
    yield from _fidelity(examination, text)
    if examination.implements_paper and not _in_order(text):
        yield f"The README has no place for its claims: add the lines '{CLAIMS_BEGIN}' and '{CLAIMS_END}'."


def _fidelity(examination: Examination, text: str) -> Iterator[str]:
    heading = _HEADING.search(text)
    if heading is None:
        yield "The README has no section on fidelity: add '## Fidelity', with every deviation from the paper and its reason."
        return
    section = re.split(r"^##?\s", text[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    if examination.implements_paper and len(re.findall(r"^\|.*\|\s*$", section, re.MULTILINE)) < 3:
        yield "Its README's section on fidelity has no table: list what was compared with the official code and each deviation."


def _in_order(text: str) -> bool:
    return 0 <= text.find(CLAIMS_BEGIN) < text.find(CLAIMS_END)


def _text(examination: Examination) -> str:
    """Return the README of the checkout, which an editable installation's metadata may lag behind, else the installed one."""
    if examination.checkout is not None and (examination.checkout / "README.md").is_file():
        return (examination.checkout / "README.md").read_text(encoding="utf-8")
    return str(examination.distribution.metadata.json.get("description", ""))
