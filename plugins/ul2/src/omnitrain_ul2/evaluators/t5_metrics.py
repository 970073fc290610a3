"""Task metrics as the T5 pipeline reports them: all in percent, deterministic."""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from omnitrain.errors import DataError

Scores = dict[str, float]
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_BLANK_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "\u2018\u2019\u00b4", " "))


def _check(targets: Sequence[Any], predictions: Sequence[Any]) -> None:
    if not targets or len(targets) != len(predictions):
        raise DataError(f"A metric got {len(targets)} targets and {len(predictions)} predictions; give one each.")


def accuracy(targets: Sequence[Any], predictions: Sequence[Any]) -> Scores:
    """Share of predictions equal to their target; case and blanks count."""
    _check(targets, predictions)
    equal = sum(t == p for t, p in zip(targets, predictions, strict=True))
    return {"accuracy": 100.0 * equal / len(targets)}


def _f1(positive: int, predicted: int, actual: int) -> float:
    return 2.0 * positive / (predicted + actual) if positive else 0.0


def _class_f1(targets: Sequence[int], predictions: Sequence[int], label: int) -> float:
    both = sum(t == label and p == label for t, p in zip(targets, predictions, strict=True))
    return _f1(both, sum(p == label for p in predictions), sum(t == label for t in targets))


def f1_score_with_invalid(targets: Sequence[int], predictions: Sequence[int]) -> Scores:
    """Binary F1 of class 1; a prediction outside {0, 1} counts as the wrong class."""
    _check(targets, predictions)
    valid = [p if p in (0, 1) else 1 - t for t, p in zip(targets, predictions, strict=True)]
    return {"f1": 100.0 * _class_f1(targets, valid, 1)}


def mean_multiclass_f1(targets: Sequence[int], predictions: Sequence[int], num_classes: int) -> Scores:
    """Unweighted mean over the classes of the F1 of each against the rest."""
    _check(targets, predictions)
    mean = sum(_class_f1(targets, predictions, label) for label in range(num_classes)) / num_classes
    return {f"mean_{num_classes}class_f1": 100.0 * mean}


def mean_group_metric(
    metric: Callable[[Sequence[Any], Sequence[Any]], Scores],
    targets: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]],
) -> Scores:
    """A metric per group, then the plain mean over groups; the group is the target's, values are under `value`."""
    _check(targets, predictions)
    groups: dict[Any, tuple[list[Any], list[Any]]] = {}
    for target, prediction in zip(targets, predictions, strict=True):
        wanted, given = groups.setdefault(target["group"], ([], []))
        wanted.append(target["value"])
        given.append(prediction["value"])
    scores = [metric(wanted, given) for wanted, given in groups.values()]
    return {name: sum(score[name] for score in scores) / len(scores) for name in scores[0]}


def normalize_squad(text: str) -> str:
    """Lower case without punctuation, articles and repeated blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_DELETE_PUNCTUATION)).split())


def normalize_trivia_qa(text: str) -> str:
    """As `normalize_squad`, but punctuation marks become blanks: "1,000" is two words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_BLANK_PUNCTUATION)).split())


def _token_f1(target: str, prediction: str) -> float:
    wanted, given = target.split(), prediction.split()
    return _f1(sum((Counter(wanted) & Counter(given)).values()), len(given), len(wanted))


def _answers(normalize: Callable[[str], str], targets: Sequence[Sequence[str]], predictions: Sequence[str]) -> Scores:
    """Best exact match and token F1 over the answers of each item, averaged over items."""
    _check(targets, predictions)
    exact, overlap = 0.0, 0.0
    for answers, prediction in zip(targets, predictions, strict=True):
        given = normalize(prediction)
        wanted = [normalize(answer) for answer in answers]
        exact += max(answer == given for answer in wanted)
        overlap += max(_token_f1(answer, given) for answer in wanted)
    return {"em": 100.0 * exact / len(targets), "f1": 100.0 * overlap / len(targets)}


def squad(targets: Sequence[Sequence[str]], predictions: Sequence[str]) -> Scores:
    """Exact match and F1 of SQuAD; each target is a list of answers."""
    return _answers(normalize_squad, targets, predictions)


def trivia_qa(targets: Sequence[Sequence[str]], predictions: Sequence[str]) -> Scores:
    """Exact match and F1 of TriviaQA; each target is a list of answers."""
    return _answers(normalize_trivia_qa, targets, predictions)


def pearson_corrcoef(targets: Sequence[float], predictions: Sequence[float]) -> Scores:
    """Pearson's correlation, times 100."""
    _check(targets, predictions)
    return {"pearson_corrcoef": 100.0 * float(np.corrcoef(targets, predictions)[0, 1])}


def _words(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).split()


def _ngram_f(target: list[str], prediction: list[str], size: int) -> float:
    wanted, given = (
        Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1)) for words in (target, prediction)
    )
    return _f1(sum((wanted & given).values()), given.total(), wanted.total())


def _lcs_positions(reference: list[str], candidate: list[str]) -> set[int]:
    """Positions in the reference of one longest common subsequence."""
    table = np.zeros((len(reference) + 1, len(candidate) + 1), np.int64)
    for i, word in enumerate(reference, 1):
        for j, other in enumerate(candidate, 1):
            table[i, j] = table[i - 1, j - 1] + 1 if word == other else max(table[i - 1, j], table[i, j - 1])
    found: set[int] = set()
    i, j = len(reference), len(candidate)
    while i and j:
        if reference[i - 1] == candidate[j - 1]:
            found.add(i - 1)
            i, j = i - 1, j - 1
        elif table[i, j - 1] > table[i - 1, j]:
            j -= 1
        else:
            i -= 1
    return found


def _summary_lcs_f(target: str, prediction: str) -> float:
    """ROUGE-Lsum: per target sentence (line), the union of its common subsequences with all predicted sentences."""
    wanted = [words for line in target.split("\n") if (words := _words(line))]
    given = [words for line in prediction.split("\n") if (words := _words(line))]
    left_wanted, left_given = (Counter(word for words in side for word in words) for side in (wanted, given))
    total_wanted, total_given, hits = left_wanted.total(), left_given.total(), 0
    for words in wanted:
        union = set().union(*(_lcs_positions(words, other) for other in given))
        for position in sorted(union):
            word = words[position]
            # A word counts only as often as either side has it.
            if left_wanted[word] > 0 and left_given[word] > 0:
                hits += 1
                left_wanted[word] -= 1
                left_given[word] -= 1
    return _f1(hits, total_given, total_wanted)


def rouge(targets: Sequence[str], predictions: Sequence[str]) -> Scores:
    """Mean F-measures of ROUGE-1, -2 and -Lsum without stemming; a newline ends a sentence.

    The official pipeline reports the middle of a bootstrap, which differs by resampling noise.
    """
    _check(targets, predictions)
    totals = np.zeros(3)
    for target, prediction in zip(targets, predictions, strict=True):
        wanted, given = _words(target), _words(prediction)
        totals += (_ngram_f(wanted, given, 1), _ngram_f(wanted, given, 2), _summary_lcs_f(target, prediction))
    means = 100.0 * totals / len(targets)
    return dict(zip(("rouge1", "rouge2", "rougeLsum"), means.tolist(), strict=True))
