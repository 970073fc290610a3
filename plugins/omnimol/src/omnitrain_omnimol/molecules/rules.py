"""Molecules that are enumerated by rules, with labels that rdkit computes, and reactions of one step: data for everyone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

from omnitrain_omnimol.molecules.texts import chemistry, encoded_selfies

# Each core has two places for groups.
_CORES = (
    "c1cc({a})ccc1{b}",
    "c1c({a})cccc1{b}",
    "C1CC({a})CCC1{b}",
    "n1cc({a})ccc1{b}",
    "C1CN({a})CCN1{b}",
    "s1c({a})ccc1{b}",
    "c1cc2cc({a})ccc2cc1{b}",
    "C({a})CCC{b}",
    "C({a})(C)OCC{b}",
    "O=C(N{a})CC{b}",
)
_GROUPS = ("C", "CC", "C(C)C", "CCCC", "OC", "N", "NC", "O", "F", "Cl", "C#N", "C(F)(F)F", "C(=O)O", "C(=O)N", "CO", "c1ccccc1")
_ACIDS = ("C", "CC", "CCC", "C(C)C", "CCl", "c1ccccc1", "c1ccc(C)cc1", "c1ccc(F)cc1", "c1ccncc1", "C1CCCCC1", "CC#N", "CCOC")
_ALCOHOLS = ("C", "CC", "CCC", "CCCC", "C(C)C", "CC(C)C", "Cc1ccccc1", "CCOC", "CCCl", "C1CCCC1", "CCC#N", "CC(F)(F)F")
_ESTER = "[C:1](=[O:2])[OX2H].[OX2H:3][C:4]>>[C:1](=[O:2])[O:3][C:4]"


@cache
def enumerated() -> tuple[str, ...]:
    """Return the SMILES of all molecules that the rules give, canonical, each once, always in the same order."""
    texts = (core.format(a=a, b=b) for core, a, b in product(_CORES, _GROUPS, _GROUPS))
    molecules = (chemistry().MolFromSmiles(text) for text in texts)
    return tuple(dict.fromkeys(chemistry().MolToSmiles(molecule) for molecule in molecules if molecule is not None))


def _labels() -> Mapping[str, Callable[[Any], str]]:
    from rdkit.Chem import Crippen, Descriptors, GraphDescriptors, rdMolDescriptors

    return {
        "weight": lambda m: f"{Descriptors.MolWt(m):.2f}",  # type: ignore[attr-defined]
        "logp": lambda m: f"{Crippen.MolLogP(m):.2f}",  # type: ignore[attr-defined]
        "tpsa": lambda m: f"{rdMolDescriptors.CalcTPSA(m):.2f}",
        "complexity": lambda m: f"{GraphDescriptors.BertzCT(m):.1f}",  # type: ignore[no-untyped-call]
        "rings": lambda m: str(rdMolDescriptors.CalcNumRings(m)),
        "smiles": lambda m: str(chemistry().MolToSmiles(m)),
    }


REACTIONS = ("forward", "retrosynthesis")
EMBEDDED = ("weight", "logp", "tpsa", "complexity", "rings", "smiles", *REACTIONS)


def labelled(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield (input in SELFIES, answer, key) of an embedded task. Equal keys belong into one split."""
    if name in REACTIONS:
        for reactants, ester in _esters():
            pair = (reactants, ester) if name == "forward" else (ester, reactants)
            yield *pair, ester
        return
    label = _labels()[name]
    for smiles in enumerated():
        text = encoded_selfies(smiles)
        if text is not None:
            yield text, label(chemistry().MolFromSmiles(smiles)), text


@cache
def _esters() -> tuple[tuple[str, str], ...]:
    """Return (acid and alcohol, ester) in SELFIES: a reaction of one step by rdkit."""
    from rdkit.Chem import AllChem

    rule = AllChem.ReactionFromSmarts(_ESTER)  # type: ignore[attr-defined]
    found = []
    for acid, alcohol in product(_ACIDS, _ALCOHOLS):
        texts = f"O=C(O){acid}", f"O{alcohol}"
        products = rule.RunReactants(tuple(chemistry().MolFromSmiles(text) for text in texts))
        ester = encoded_selfies(chemistry().MolToSmiles(products[0][0]))
        reactants = [encoded_selfies(text) for text in texts]
        if ester is not None and None not in reactants:
            found.append((f"{reactants[0]}.{reactants[1]}", ester))
    return tuple(found)
