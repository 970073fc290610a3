"""Stage `vpt/record`: scripted play in the contractor format."""

from __future__ import annotations

from omnitrain.api import Run
from omnitrain_vpt.configs.stages import RecordConfig
from omnitrain_vpt.recordings.work import WORK, leave_recordings
from omnitrain_vpt.world.environments import worlds_folder
from omnitrain_vpt.world.recording import clip_name, played_world, record_clip


def record(config: RecordConfig, run: Run) -> None:
    """Record; the artifact "data" is read by `vpt/recordings`. A stopped stage goes on behind its last whole recording.

    Raises UsageError for a world that is not the stand-in.
    """
    interface, seed, ledger = played_world(config, worlds_folder(run.workspace)), run.seed("play"), run.ledger(WORK)

    def recorded(number: int) -> int:
        return record_clip(interface, ledger.folder, config, seed, number, config.version, config.labelled)

    done = ledger.map(recorded, range(config.clips), key=lambda number: clip_name(number, config.version), label="recording")
    leave_recordings(run, [name for name, _ in done])
