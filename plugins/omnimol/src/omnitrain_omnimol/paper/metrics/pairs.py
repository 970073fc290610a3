"""What metrics compare, and how an answer is cut at its end."""

from __future__ import annotations

from dataclasses import dataclass

from omnitrain_omnimol.paper.chat import TURN_END


@dataclass(frozen=True)
class Pair:
    """prompt: what was asked. target: the right answer. prediction: what the model wrote."""

    prompt: str
    target: str
    prediction: str

    def cut(self, end: str = TURN_END) -> str:
        """Return the prediction up to the end of the turn, without blanks around it."""
        return self.prediction.partition(end)[0].strip()
