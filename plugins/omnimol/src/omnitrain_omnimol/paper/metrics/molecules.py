"""Metrics of molecules: validity, exact match, similarity of fingerprints, distance of texts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from omnitrain_omnimol.molecules.texts import canonical_smiles, chemistry, decoded_selfies, symbols
from omnitrain_omnimol.paper.metrics.pairs import Pair

Values = dict[str, float | int | None]


@dataclass(frozen=True)
class _Read:
    """A valid prediction beside its target: their SELFIES, canonical SMILES without and with stereo."""

    target: str
    prediction: str
    wanted: str
    found: str
    wanted_stereo: str
    found_stereo: str


@cache
def _fingerprints() -> tuple[Any, Any, Any]:
    from rdkit.Chem import MACCSkeys, RDKFingerprint
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    return MACCSkeys.GenMACCSKeys, RDKFingerprint, GetMorganGenerator(radius=2).GetSparseCountFingerprint  # type: ignore[attr-defined]


def similarities(first: str, second: str) -> tuple[float, float, float]:
    """Return the Tanimoto similarities of MACCS keys, of RDKit's paths and of Morgan counts of radius 2 of two SMILES."""
    from rdkit.DataStructs import TanimotoSimilarity

    molecules = [chemistry().MolFromSmiles(text) for text in (first, second)]
    maccs, paths, morgan = (TanimotoSimilarity(*(make(molecule) for molecule in molecules)) for make in _fingerprints())
    return maccs, paths, morgan


def _inchi(smiles: str) -> str:
    return str(chemistry().MolToInchi(chemistry().MolFromSmiles(smiles)))


def character_bleu(references: Sequence[str], predictions: Sequence[str]) -> float:
    """Return the corpus BLEU of characters, four-grams, without smoothing."""
    return corpus_bleu([list(text) for text in references], [list(text) for text in predictions], 4)


def corpus_bleu(references: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]], largest: int) -> float:
    """Return the corpus BLEU of n-grams up to `largest`, all alike, without smoothing (nltk)."""
    from nltk.translate.bleu_score import corpus_bleu as bleu  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        # nltk tells of every n-gram without overlap; the value is what counts.
        warnings.simplefilter("ignore", UserWarning)
        return float(bleu([[list(r)] for r in references], [list(p) for p in predictions], (1 / largest,) * largest))


def _read(pair: Pair, official: bool) -> _Read | None:
    prediction = pair.cut()
    wanted, found = decoded_selfies(pair.target), decoded_selfies(prediction)
    if not official and not (found and symbols(prediction)):
        return None
    plain = canonical_smiles(wanted), canonical_smiles(found)
    stereo = canonical_smiles(wanted, stereo=True), canonical_smiles(found, stereo=True)
    if plain[0] is None or plain[1] is None or stereo[0] is None or stereo[1] is None:
        return None
    return _Read(pair.target, prediction, plain[0], plain[1], stereo[0], stereo[1])


def molecule_metrics(pairs: Sequence[Pair], official: bool = False) -> Values:
    """Return validity, exact match, BLEU, distance and similarities of answers that are molecules in SELFIES.

    All but validity and `exact_all` are over valid predictions. An answer without any symbol is invalid; official: it is the
    empty molecule and counts as valid.
    """
    from rapidfuzz.distance import Levenshtein

    valid = [read for pair in pairs if (read := _read(pair, official)) is not None]
    exact = sum(_inchi(read.wanted) == _inchi(read.found) for read in valid)
    stereo = sum(_inchi(read.wanted_stereo) == _inchi(read.found_stereo) for read in valid)
    bleu = character_bleu([read.target for read in valid], [read.prediction for read in valid]) if valid else None
    distances = [Levenshtein.distance(read.wanted, read.found) for read in valid]
    similar = [similarities(read.wanted, read.found) for read in valid]
    count, every = len(valid), len(pairs)
    maccs, paths, morgan = (sum(row[place] for row in similar) / count if count else None for place in range(3))
    if official:
        return {
            "SELFIES BLEU score": bleu,
            "Exact Match": exact / count if count else None,
            "SMILES Levenshtein": sum(distances) / count if count else None,
            "validity": count / every if every else None,
            "fp_Validity": count / every if every else None,
            "Average MACCS Similarity": maccs,
            "Average RDK Similarity": paths,
            "Average Morgan Similarity": morgan,
        }
    return {
        "exact_all": exact / every if every else None,
        "exact_valid": exact / count if count else None,
        "exact_stereo_all": stereo / every if every else None,
        "validity": count / every if every else None,
        "bleu": bleu,
        "levenshtein": sum(distances) / count if count else None,
        "maccs": maccs,
        "rdk": paths,
        "morgan": morgan,
        "n": every,
    }
