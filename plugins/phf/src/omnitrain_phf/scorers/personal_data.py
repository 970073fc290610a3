"""Personal data in text, by scrubadub."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from omnitrain_phf.configs.scorers import ScrubadubConfig
from omnitrain_phf.scorers.base import installed

NO_NAMES = "names of people are not looked for: the paper's named-entity detector needs a spaCy model (named_entities)"
# Texts that are handed over together; merging compares the detections of all of them.
_AT_A_TIME = 64


class PersonalDataScorer:
    """Number of detections, overlapping ones merged, per character. scrubber: scrubadub's own, with the detectors asked for."""

    def __init__(self, config: ScrubadubConfig) -> None:
        from omnitrain_phf.scorers.detectors import make_scrubber

        self.scrubber = make_scrubber(config)

    def filth(self, text: str) -> list[tuple[str, int, int, str]]:
        """Return (type, begin, end, text) of the merged detections, in the order of the text."""
        with _quiet():
            found = list(self.scrubber.iter_filth(text))
        return [(str(item.type), item.beg, item.end, item.text) for item in sorted(found, key=lambda item: item.beg)]

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return detections per character of each text."""
        counts: Counter[int] = Counter()
        with _quiet():
            for first in range(0, len(texts), _AT_A_TIME):
                # Together they cost less than one by one; detections are merged within a text only, and carry its number.
                part = list(texts[first : first + _AT_A_TIME])
                counts.update(first + int(item.document_name) for item in self.scrubber.iter_filth_documents(part))
        return [counts[number] / len(text) if text else 0.0 for number, text in enumerate(texts)]

    @staticmethod
    def versions(config: ScrubadubConfig) -> dict[str, str]:
        """Return those of scrubadub and of what its detectors rest on."""
        optional = {"dateparser": config.date_of_birth, "pyap": config.address, "spacy": config.named_entities}
        return installed("scrubadub", "phonenumbers", *(name for name, used in optional.items() if used))

    @staticmethod
    def notes(config: ScrubadubConfig) -> list[str]:
        """Return that names are not found, where they are not."""
        return [NO_NAMES] if config.named_entities is None else []


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # dateparser asks Python for dates without a year, which Python 3.13 warns about.
        warnings.simplefilter("ignore")
        yield
