"""Molecules as SMILES and SELFIES, both ways. Several molecules are joined by dots."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any


@cache
def chemistry() -> Any:
    """Return rdkit's `Chem`, which is silent about texts that it refuses: these are counted and named instead."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    return Chem


@cache
def _selfies() -> Any:
    import selfies  # type: ignore[import-untyped]

    return selfies


@lru_cache(maxsize=100_000)
def decoded_selfies(text: str) -> str | None:
    """Return the SMILES of a SELFIES, None for unknown symbols. A text without any symbol gives an empty one."""
    try:
        return str(_selfies().decoder(text))
    except _selfies().DecoderError:
        return None


@lru_cache(maxsize=100_000)
def encoded_selfies(smiles: str) -> str | None:
    """Return the SELFIES of a SMILES, None where there is none."""
    try:
        return str(_selfies().encoder(smiles))
    except _selfies().EncoderError:
        return None


def canonical_smiles(smiles: str | None, stereo: bool = False) -> str | None:
    """Return rdkit's canonical SMILES, None for what is no molecule. stereo: keep configurations."""
    molecule = None if smiles is None else chemistry().MolFromSmiles(smiles)
    return None if molecule is None else str(chemistry().MolToSmiles(molecule, isomericSmiles=stereo))


def symbols(text: str) -> list[str]:
    """Return the symbols of a SELFIES, dots among them; text between them is left out."""
    found: list[str] = []
    for part in text.split("]"):
        before, bracket, symbol = part.rpartition("[")
        found += ["."] * before.count(".") if bracket else ["."] * part.count(".")
        if bracket:
            found.append(f"[{symbol}]")
    return found


def smiles_of(text: str, notation: str) -> str | None:
    """Return the SMILES of a molecule that is written in a notation, "selfies" or "smiles"; None for what is no molecule."""
    smiles = decoded_selfies(text) if notation == "selfies" else text
    return smiles if smiles and chemistry().MolFromSmiles(smiles) is not None else None
