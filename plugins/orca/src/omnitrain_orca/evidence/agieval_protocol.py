"""What of AGIEval's protocol the paper doesn't use: mathematics, Chinese tasks, few-shot parsing (its repository at 5c77d07).

Reached by golden vectors only: they hold that the rules of `omnitrain_orca.paper.agieval` sit in the whole protocol right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omnitrain_orca.exams.agieval import question_of
from omnitrain_orca.paper.agieval import TASKS, first_letter

CLOZE = ("math", "gaokao-mathcloze")
_CHINESE = ("gaokao-mathcloze", "gaokao-physics")
_LAST_ENGLISH, _LAST_CHINESE = "E", "D"


def prompts(task: str, record: Mapping[str, Any], first_response: str) -> dict[str, str]:
    """Return the prompt without examples, and the two of chain of thought."""
    asked, cloze, chinese = _asked(task, record), task in CLOZE, task in _CHINESE
    last = "" if cloze else chr(ord("A") + len(record["options"]) - 1)
    if chinese:
        plain = f"{asked}\n答案：" if cloze else f"{asked}\n答案：从A到{last}, 我们应选择"
        thought = f"{asked}\n答案：让我们逐步思考：" if cloze else f"{asked}\n从A到{last}, 我们应选择什么？让我们逐步思考："
        ends = "因此，答案是" if cloze else f"因此，从A到{_LAST_CHINESE}, 我们应选择"
    else:
        plain = f"{asked}\nA: The answer is" if cloze else question_of(task, record).prompt
        thought = f"{asked}\n{'A: ' if cloze else ''}Let's think step by step."
        ends = "Therefore, the answer is" if cloze else f"Therefore, among A through {_LAST_ENGLISH}, the answer is"
    return {
        "zero_shot": plain,
        "zero_shot_cot_stage1": thought,
        "zero_shot_cot_stage2_context": f"{thought}\n{first_response}\n{ends}",
    }


def _asked(task: str, record: Mapping[str, Any]) -> str:
    passage, question = record["passage"] or "", record["question"]
    if task in CLOZE:
        return f"{passage}{'问题：' if task in _CHINESE else 'Q: '}{question}"
    options = " ".join(record["options"])
    return (
        f"{passage}问题：{question} 选项：{options}"
        if task in _CHINESE
        else f"{passage}Q: {question} Answer Choices: {options}"
    )


def parsed(task: str, setting: str, response: str) -> str | list[str] | None:
    """Return the answer that AGIEval finds in a response."""
    if task in CLOZE:
        return _cloze(setting, response)
    if task == "gaokao-physics":
        return re.findall("[A-F]", response)
    if setting == "zero-shot" and task in TASKS:
        return first_letter(response)
    if setting == "few-shot-CoT":
        response = next((line for line in reversed(response.split("\n")) if line.strip()), "")
    told = re.search(r"answer is .*?([A-G])", response)
    return told[1] if told else first_letter(response)


def _cloze(setting: str, response: str) -> str | None:
    for mark in ("The answer is therefore", "答案是"):
        if mark in response:
            response = response[response.rfind(mark) + len(mark) :].strip()
    if setting != "zero-shot":
        return response
    if "\\boxed" in response:
        boxed = _boxed(response)
        return None if boxed is None else _behind_equals(boxed)
    for line in reversed(response.split("\n")):
        if line.count("$") >= 2:
            return _behind_equals(line[line.index("$") + 1 : line.rindex("$")])
    if "=" in response:
        return response.rpartition("=")[2].lstrip(" ").rstrip(".")
    numbers = re.findall(r"\$?\d+(?:\.\d+)?", response)
    return numbers[-1] if numbers else None


def _behind_equals(text: str) -> str:
    return text.rpartition("=")[2].strip() if "=" in text else text


def _boxed(response: str) -> str | None:
    """Return what stands in the last box, None where its braces don't close."""
    begin, depth = response.rindex("\\boxed"), 0
    for place in range(begin, len(response)):
        depth += (response[place] == "{") - (response[place] == "}")
        if response[place] == "}" and depth == 0:
            return response[response.index("{", begin) + 1 : place]
    return None


def is_right(task: str, found: Any, label: Any) -> bool:
    """Tell whether an answer is the label."""
    if task == "gaokao-physics":
        return label is not None and set(found) == set(label)
    return is_equivalent(found, label) if task in CLOZE else bool(found == label)


def is_equivalent(a: str | None, b: str | None) -> bool:
    """Tell whether two answers of mathematics are the same text, once written alike (the MATH data set's rule)."""
    if a is None or b is None:
        return a is b
    try:
        return _written(a) == _written(b)
    except (IndexError, ValueError):
        return a == b


_REMOVED: Sequence[str] = ("\n", "\\!", "\\left", "\\right", "^{\\circ}", "^\\circ", "\\$", "\\%")


def _written(text: str) -> str:
    for part in _REMOVED[:2]:
        text = text.replace(part, "")
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    for part in _REMOVED[2:]:
        text = text.replace(part, "")
    text = text.partition("\\text{ ")[0]
    text = text.replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    text = f"0{text}" if text[0] == "." else text
    name, equals, value = text.partition("=")
    if equals and "=" not in value and len(name) <= 2:
        text = value
    text = re.sub(r"\\sqrt([^{])", r"\\sqrt{\1}", text).replace(" ", "")
    text = re.sub(r"\\frac([^{])([^{])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac([^{])(\{)", r"\\frac{\1}\2", text)
    if text == "0.5":
        return "\\frac{1}{2}"
    whole = re.fullmatch(r"(-?\d+)/(-?\d+)", text)
    return f"\\frac{{{whole[1]}}}{{{whole[2]}}}" if whole else text
