"""What scrubadub is asked to find: its own detectors by name, addresses, and names of people."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from omnitrain.errors import EnvironmentFault
from omnitrain_phf.configs.scorers import ScrubadubConfig

with warnings.catch_warnings():
    # Its dependency textblob has invalid escapes in its source, which newer Pythons warn about at the first import.
    warnings.simplefilter("ignore")
    import scrubadub  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from scrubadub.detectors.base import Detector  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from scrubadub.detectors.date_of_birth import DateOfBirthDetector  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from scrubadub.detectors.skype import SkypeDetector  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from scrubadub.filth import Filth  # type: ignore[import-untyped,import-not-found,unused-ignore]

# Named here, so that detectors that other packages register change nothing.
DEFAULT = ("credential", "credit_card", "email", "phone", "twitter", "url", "social_security_number")


class AddressFilth(Filth):  # type: ignore[misc]
    """A postal address."""

    type = "address"


class AddressDetector(Detector):  # type: ignore[misc]
    """US addresses as pyap finds them."""

    name = "address"
    filth_cls = AddressFilth

    def iter_filth(self, text: str, document_name: str | None = None) -> Iterator[Any]:
        """Yield the addresses of a text."""
        import pyap  # type: ignore[import-untyped,import-not-found,unused-ignore]

        start = 0
        for address in pyap.parse(text, country="US"):
            found = address.full_address
            place = text.find(found, start)
            if place < 0:
                continue
            start = place + len(found)
            yield AddressFilth(beg=place, end=start, text=found, document_name=document_name, detector_name=self.name)


class NameFilth(Filth):  # type: ignore[misc]
    """A person's name."""

    type = "name"


class NameDetector(Detector):  # type: ignore[misc]
    """People that a spaCy pipeline recognises."""

    name = "named_entities"
    filth_cls = NameFilth

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        self._pipeline = pipeline

    def iter_filth(self, text: str, document_name: str | None = None) -> Iterator[Any]:
        """Yield the people of a text."""
        for entity in self._pipeline(text).ents:
            if entity.label_ == "PERSON":
                yield NameFilth(
                    beg=entity.start_char,
                    end=entity.end_char,
                    text=entity.text,
                    document_name=document_name,
                    detector_name=self.name,
                )


def _pipeline(name: str) -> Any:
    try:
        import spacy

        return spacy.load(name)
    except (ImportError, OSError) as error:
        raise EnvironmentFault(
            f"scorer.named_entities: the spaCy pipeline {name!r} can't be loaded ({str(error).splitlines()[0]}); install it, "
            "or leave named_entities out"
        ) from error


def default_detectors() -> list[Any]:
    """Return fresh detectors of the default kinds."""
    known = scrubadub.detectors.detector_catalogue.get_all()
    return [known[name](locale="en_US") for name in DEFAULT]


def make_scrubber(config: ScrubadubConfig) -> Any:
    """Return scrubadub with the detectors that are asked for.

    Raises EnvironmentFault where the pipeline for names can't be loaded.
    """
    extra: list[Any] = []
    if config.date_of_birth:
        extra.append(DateOfBirthDetector())
    if config.skype:
        extra.append(SkypeDetector())
    if config.address:
        extra.append(AddressDetector())
    if config.named_entities:
        extra.append(NameDetector(_pipeline(config.named_entities)))
    return scrubadub.Scrubber(detector_list=[*default_detectors(), *extra])
