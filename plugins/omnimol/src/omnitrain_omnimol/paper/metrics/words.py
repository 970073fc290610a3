"""Metrics of texts and procedures: BLEU, METEOR, ROUGE, and how near a sequence of actions is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from omnitrain.api import user_path
from omnitrain.errors import EnvironmentFault
from omnitrain_omnimol.paper.chat import TURN_END
from omnitrain_omnimol.paper.metrics.molecules import corpus_bleu
from omnitrain_omnimol.paper.metrics.pairs import Pair

Values = dict[str, float | int | None]
Tokenise = Callable[[str], Sequence[str]]
_ROUGE = ("rouge1", "rouge2", "rougeL")
_ACCURACIES = (100, 90, 75, 50)
_FILES = ("data.noun", "index.noun", "lexnames", "index.sense")


@cache
def wordnet(path: str) -> Any:
    """Return nltk's reader of a WordNet dictionary. path: a folder with corpora/wordnet in it.

    Raises EnvironmentFault where it is not whole: METEOR is exact or not given.
    """
    import nltk  # type: ignore[import-untyped]
    from nltk.corpus.reader.wordnet import WordNetCorpusReader  # type: ignore[import-untyped]

    folder = user_path(path)
    missing = [name for name in _FILES if not (folder / "corpora" / "wordnet" / name).is_file()]
    if missing:
        raise EnvironmentFault(
            f"{folder}: METEOR needs WordNet 3.0 in corpora/wordnet, of which {', '.join(missing)} "
            "is missing: put the files of Debian's wordnet-base there, with lexnames and index.sense, or leave `wordnet` out, "
            "and METEOR is not measured"
        )
    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))
    return WordNetCorpusReader(nltk.data.find("corpora/wordnet", [str(folder)]), None)


def _rouge(pairs: Sequence[Pair], official: bool) -> list[float | None]:
    from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]

    scorer = RougeScorer(list(_ROUGE))
    scores = [scorer.score(pair.target, pair.prediction if official else pair.cut()) for pair in pairs]
    return [sum(score[name].fmeasure for score in scores) / len(pairs) if pairs else None for name in _ROUGE]


def _tokens(pairs: Sequence[Pair], tokenise: Tokenise, dropped: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    return [
        tuple([token for token in tokenise(text) if token not in dropped] for text in (pair.target, pair.prediction))  # type: ignore[misc]
        for pair in pairs
    ]


def text_metrics(
    pairs: Sequence[Pair],
    tokenise: Tokenise = str.split,
    official: bool = False,
    dictionary: Any = None,
    dropped: Sequence[str] = (TURN_END,),
) -> Values:
    """Return BLEU-2, BLEU-4, ROUGE-1, -2, -L and, with a dictionary, METEOR.

    tokenise: gives the tokens of BLEU and METEOR; `dropped` are left out of these. Predictions are cut at their end first;
    official: only tokens are dropped, and ROUGE is on the raw text. dictionary: nltk's reader of WordNet.
    """
    used = pairs if official else [Pair(pair.prompt, pair.target, pair.cut()) for pair in pairs]
    tokens = _tokens(used, tokenise, dropped)
    wanted, found = [pair[0] for pair in tokens], [pair[1] for pair in tokens]
    values: Values = {f"BLEU-{n}": corpus_bleu(wanted, found, n) if pairs else None for n in (2, 4)}
    if dictionary is not None:
        from nltk.translate.meteor_score import meteor_score  # type: ignore[import-untyped]

        scores = [meteor_score([w], f, wordnet=dictionary) for w, f in zip(wanted, found, strict=True)]
        values["Meteor"] = sum(scores) / len(scores) if scores else None
    values |= dict(zip(("ROUGE-1", "ROUGE-2", "ROUGE-L"), _rouge(used, official), strict=True))
    if official:
        return values
    return {name.lower().replace("-", "_"): value for name, value in values.items()} | {"n": len(pairs)}


def procedure_metrics(
    pairs: Sequence[Pair], tokenise: Tokenise = str.split, official: bool = False, dictionary: Any = None
) -> Values:
    """Return the metrics of texts, and the shares of procedures that are 100, 90, 75 and 50 % like the target.

    Likeness is 1 - d / max(length), d the Levenshtein distance of tokens. A procedure is valid whose last action is a YIELD.
    official: validity and accuracies are 0, as the code compares a list of one list with tokens.
    """
    from rapidfuzz.distance import Levenshtein

    values = text_metrics(pairs, tokenise, official, dictionary)
    if official:
        return {"Validity": 0.0, **{f"Accuracy ({level})": 0.0 for level in _ACCURACIES}, **values}
    parts = [(pair.target.split(), pair.cut().split()) for pair in pairs]
    alike = [100 * Levenshtein.normalized_similarity(wanted, found) for wanted, found in parts]
    valid = sum(pair.cut().split(";")[-1].strip().startswith("YIELD") for pair in pairs)
    shares = {f"accuracy_{level}": sum(a >= level for a in alike) / len(pairs) if pairs else None for level in _ACCURACIES}
    return {"validity": valid / len(pairs) if pairs else None, **shares, **values}
