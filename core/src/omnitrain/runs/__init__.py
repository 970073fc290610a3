"""Run directories and what stages see of them."""

from omnitrain.runs.directory import RunDirectory, StageRecord, StoredArtifact, differences
from omnitrain.runs.ledger import Ledger
from omnitrain.runs.locking import RunLock
from omnitrain.runs.progress import Display
from omnitrain.runs.records import Records, read_records
from omnitrain.runs.seeds import derive
from omnitrain.runs.stage import StageRun, with_facts, with_model_source, with_saved
from omnitrain.runs.stopping import StopRequest

__all__ = [
    "Display",
    "Ledger",
    "Records",
    "RunDirectory",
    "RunLock",
    "StageRecord",
    "StageRun",
    "StopRequest",
    "StoredArtifact",
    "derive",
    "differences",
    "read_records",
    "with_facts",
    "with_model_source",
    "with_saved",
]
