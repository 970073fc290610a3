"""The weights that the package carries for its vectors are those of the vectors."""

import json
from importlib.resources import files
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden" / "mddt_forward.json"


def test_packaged_weights_are_those_of_the_vectors():
    packaged = json.loads((files("omnitrain_l2m.evidence") / "mddt_weights.json").read_text("utf-8"))
    assert packaged == json.loads(GOLDEN.read_text("utf-8"))["weights"]
