"""The contract that every plugin keeps, as far as a package without a paper has to."""

import json
import tempfile
from pathlib import Path

from omnitrain_testing.contract import contract

PAIRS = Path(tempfile.mkdtemp()) / "pairs.jsonl"
PAIRS.write_text(
    "".join(json.dumps({"inputs": f"count to {i}", "targets": " ".join(map(str, range(i + 1)))}) + "\n" for i in range(60))
)
PREFERENCES = PAIRS.with_name("preferences.jsonl")
PREFERENCES.write_text(
    "".join(json.dumps({"prompt": f"to {i}", "chosen": f"one {i}", "rejected": f"{i} or so"}) + "\n" for i in range(60))
)

test_contract = contract(
    "language",
    settings={
        "language/pairs": {"path": str(PAIRS)},
        "language/instructions": {"path": str(PAIRS), "template": "orca", "length": 96},
        "language/preferences": {"path": str(PREFERENCES), "template": "plain"},
        "language/preference": {},
        "language/t5": {"size": "tiny"},
        "language/causal": {"size": "tiny", "style": "llama"},
        "language/causal-nll": {},
        "language/seq2seq-nll": {},
    },
    exceptions={"paper": "A package of shared parts; it implements no paper."},
)
