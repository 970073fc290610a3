"""The chat template of the paper's code, and the ids and labels of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omnitrain_omnimol.paper.fusion import GRAPH_TOKEN, IGNORED

IMAGE = "<image>"
BEGIN, HEADER, HEADER_END, TURN_END = "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)

Encode = Callable[[str], Sequence[int]]


def _header(role: str) -> str:
    return f"{HEADER}{role}{HEADER_END}\n\n"


def chat_prompt(question: str, system: str = SYSTEM) -> str:
    """Return the text that asks for an answer: system and user turn, and the header of the assistant's."""
    return f"{BEGIN}{_header('system')}{system}{TURN_END}{_header('user')}{question}{TURN_END}{_header('assistant')}"


def prompt_ids(text: str, encode: Encode) -> list[int]:
    """Return the ids of a text in which IMAGE becomes GRAPH_TOKEN.

    encode: gives the ids of a text, with what the tokenizer puts in front of every text; that is kept once, in front.
    """
    start = len(encode(""))
    first, *rest = (list(encode(part)) for part in text.split(IMAGE))
    for part in rest:
        first += [GRAPH_TOKEN, *part[start:]]
    return first


def answer_ids(answer: str, encode: Encode) -> list[int]:
    """Return the ids of an answer and the end of its turn; none for an empty answer."""
    return list(encode(answer + TURN_END))[len(encode("")) :] if answer else []


def training_row(question: str, answer: str, encode: Encode, system: str = SYSTEM) -> tuple[list[int], list[int]]:
    """Return (ids, labels) of a row; labels are IGNORED but at the answer and its end."""
    asked, told = prompt_ids(chat_prompt(question, system), encode), answer_ids(answer, encode)
    return asked + told, [IGNORED] * len(asked) + told
