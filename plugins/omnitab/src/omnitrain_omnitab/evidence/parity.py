"""Golden vectors to functions: each adapter runs one case through the code that training and evaluation use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any

from omnitrain_omnitab.paper import cutting, denoising, denotations, wikisql
from omnitrain_omnitab.paper.collation import collate
from omnitrain_omnitab.paper.linearise import joined, linearise, tapex_text
from omnitrain_omnitab.paper.masking import clean_spans, mask_tokens, masked_spans, token_ranges
from omnitrain_omnitab.paper.mentions import find_mentions
from omnitrain_omnitab.tables.tokens import TableTokens

Case = Mapping[str, Any]
# The vectors that go through a tokenizer were made with this one, of 4,096 ids in BART's format.
_TOKENIZER = Path(__file__).parent / "tokenizer"
_MODES = {"cased": (False, False), "lower": (True, False), "cased_prefix": (False, True)}


@lru_cache(maxsize=4)
def _tokens(mode: str = "cased") -> TableTokens:
    from transformers import BartTokenizer

    lower, blank = _MODES[mode]
    return TableTokens(BartTokenizer.from_pretrained(str(_TOKENIZER)), lower_case=lower, leading_blank=blank)


def _uniforms(case: Case) -> Callable[[], float]:
    draws = cycle(case.get("uniforms") or [0.0])
    return lambda: float(next(draws))


def _random_ids(case: Case) -> Callable[[], int]:
    draws = cycle(case.get("random_token_ids") or [0])
    return lambda: int(next(draws))


def _linearize(case: Case, shared: Case) -> dict[str, Any]:
    header, rows = case["table"]["header"], case["table"]["rows"]
    found = linearise(header, rows)
    output: dict[str, Any] = {"text": found.text, "offsets": {"header": found.header, "rows": found.rows}}
    try:
        return {**output, "tapex_text": tapex_text(header, rows)}
    except TypeError:
        return {**output, "tapex_text": None, "tapex_error": "TypeError"}


def _mask_primitives(case: Case, shared: Case) -> Any:
    if case["fn"] == "clean_spans":
        return clean_spans(case["spans"], case["max_length"])
    if case["fn"] == "char2token":
        return token_ranges(case["tokens"], case["mentions"])
    new, masked = mask_tokens(
        case["token_ids"],
        case["mask_spans"],
        4095,
        granularity=case["mask_granularity"],
        strategy=case["mask_strategy"],
        merge=case["merge_consecutive_masks"],
        uniform=_uniforms(case),
        random_id=_random_ids(case),
    )
    everything = not case["replace_unmasked_tokens_with_pad"]
    return {
        "labels": [i if everything or flag else 1 for i, flag in zip(case["token_ids"], masked, strict=True)],
        "masked": new,
    }


def _table_query_mask(case: Case, shared: Case) -> dict[str, Any]:
    table, chosen = case["table"], case["table_mask"] or {"header": [], "rows": []}
    flags = [*chosen["header"], *(flag for row in chosen["rows"] for flag in row)]
    elements = [number for number, flag in enumerate(flags) if flag]
    text, spans = masked_spans(case["query"], table["header"], table["rows"], case["query_mask"] or [], elements)
    return {"text": text, "spans": spans}


def _pretrain_process(case: Case, shared: Case) -> dict[str, Any]:
    tokens, context = _tokens(), denoising.with_blank(case["context"])
    shift = len(context) - len(case["context"])
    table = case["table"]
    fitted = denoising.fit(context, table["header"], table["rows"], case["answers"], tokens, length=192, context_length=48)
    if case["method"] == "qa":
        example = denoising.answering(fitted, tokens)
    elif case["method"] == "salient_masking":
        example = denoising.salient_masking(fitted, [(a + shift, b + shift) for a, b in case["mentions"]], tokens)
    else:
        choices = iter(case["choices"])
        draws = denoising.Draws(lambda n, k: next(choices), _uniforms(case), _random_ids(case))
        example = denoising.random_masking(fitted, tokens, draws)
    return {
        "input_ids": example.input_ids,
        "attention_mask": [1] * len(example.input_ids),
        "target_input_ids": example.target_ids,
        "labels": [i if flag else tokens.pad for i, flag in zip(example.target_ids, example.in_loss, strict=True)],
    }


def _collator(case: Case, shared: Case) -> dict[str, Any]:
    rows = case["batch"]
    targets = [row.get("target_input_ids", row["labels"]) for row in rows]
    in_loss = [[label != 1 for label in row["labels"]] for row in rows]
    multiple = case["pad_to_multiple_of"] or 1
    batch = collate([row["input_ids"] for row in rows], targets, in_loss, pad=1, start=2, multiple=multiple)
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"].long(),
        "labels": batch["labels"].masked_fill(batch["loss_weights"] == 0, -100),
        "decoder_input_ids": batch["decoder_input_ids"],
    }


def _tapex_encode(case: Case, shared: Case) -> dict[str, Any]:
    tokens, table = _tokens(case["mode"]), case["table"]
    rows, answers = cutting.cut_cells(table["rows"], case["answer"] or [], tokens)
    text = joined(case["query"], tapex_text(table["header"], rows) if rows else "")
    ids = tokens.whole(tokens.ids(text), case["max_length"])
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "answer_after": None if case["answer"] is None else answers,
    }


def _tapex_row_drop(case: Case, shared: Case) -> dict[str, Any]:
    tokens, table = _tokens(case["mode"]), case["table"]
    rows, answers = cutting.cut_cells(table["rows"], case["answer"] or [], tokens)
    most = case["max_length"]
    share, room = cutting.share_to_drop(case["query"], table["header"], rows, most, tokens)
    drawn: list[float] = []
    uniform = _uniforms(case)

    def draw() -> float:
        drawn.append(uniform())
        return drawn[-1]

    kept = cutting.drop_rows(case["query"], table["header"], rows, answers, most, tokens, draw)
    text = joined(case["query"], tapex_text(table["header"], kept))
    return {
        "text": text,
        "answer_after": None if case["answer"] is None else answers,
        "delete_ratio": share,
        "remaining_tokens": room,
        "draws": len(drawn),
        "n_tokens": tokens.count(text),
    }


def _mentions(case: Case, shared: Case) -> dict[str, Any]:
    marked = case["highlighted"]
    cells = None if marked is None else {(row, column) for row, column in marked}
    found = find_mentions(case["context"], case["table"], cells, frozenset(shared["stopwords"]))
    return {"locations": found.spans, "cells": found.cells}


def _tapex_accuracy(case: Case, shared: Case) -> float:
    return denotations.string_accuracy(case["prediction"], case["reference"])


def _value(original: str, canon: str | None) -> dict[str, Any]:
    found = denotations.to_value(original, canon)
    kind = "NumberValue" if found.amount is not None else "DateValue" if found.date else "StringValue"
    return {"type": kind, "normalized": found.normalized, "ymd": found.date, "amount": found.amount}


def _wtq_evaluator(case: Case, shared: Case) -> Any:
    if case["fn"] == "normalize":
        return denotations.normalise(case["x"])
    if case["fn"] == "to_value":
        return _value(case["original"], case["canon"])
    if case["fn"] == "tsv_unescape_list":
        return denotations.unescape_list(case["x"])
    if case["fn"] == "omnitab_protocol":
        return denotations.correct(case["prediction_line"], case["target"], case["target_canon"])
    pairs = zip(case["target"], case["target_canon"], strict=True)
    return denotations.denotes([denotations.to_value(a, b) for a, b in pairs], [denotations.to_value(p) for p in case["pred"]])


def _wikisql_executor(case: Case, shared: Case) -> Any:
    try:
        if "convert_to_float" in case:
            return wikisql.convert_to_float(case["convert_to_float"])
        return {"answer": wikisql.execute(case["table"]["types"], case["table"]["rows"], case["sql"])}
    except ValueError:
        return {"error": "ValueError"}


ADAPTERS: dict[str, Callable[[Any, Case], Any]] = {
    "linearize": _linearize,
    "mask_primitives": _mask_primitives,
    "table_query_mask": _table_query_mask,
    "pretrain_process": _pretrain_process,
    "collator": _collator,
    "mentions": _mentions,
    "tapex_encode": _tapex_encode,
    "tapex_row_drop": _tapex_row_drop,
    "tapex_accuracy": _tapex_accuracy,
    "wtq_evaluator": _wtq_evaluator,
    "wikisql_executor": _wikisql_executor,
}

# Everything here is text, ids and whole numbers, or numbers of float64 that are computed alike.
TOLERANCES: dict[str, dict[str, float]] = {name: {"relative": 1e-12, "absolute": 1e-12} for name in ADAPTERS}
