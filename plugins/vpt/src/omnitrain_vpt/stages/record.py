"""Stage `vpt/record`: scripted play in the contractor format."""

from __future__ import annotations

from omnitrain.api import Run
from omnitrain_vpt.configs.stages import RecordConfig
from omnitrain_vpt.recordings.work import WORK, finish_recordings
from omnitrain_vpt.world.environments import worlds_folder
from omnitrain_vpt.world.recording import record_clips


def record(config: RecordConfig, run: Run) -> None:
    """Record; the artifact "data" is read by `vpt/recordings`. A stopped stage goes on behind its last whole recording."""
    folder = run.directory / WORK
    folder.mkdir(parents=True, exist_ok=True)
    worlds, seed = worlds_folder(run.workspace), run.seed("play")
    with run.progress("recording", config.clips) as bar:
        record_clips(folder, config, worlds, seed, config.version, config.labelled, bar.advance)
    finish_recordings(run, folder)
