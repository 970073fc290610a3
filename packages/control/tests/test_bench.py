"""What the bench compares gives the same windows."""

import numpy as np

from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.evidence import bench
from omnitrain_control.evidence.bench import sliced_windows
from omnitrain_control.returns import returns_to_go
from omnitrain_control.trajectories import Trajectories


def test_both_ways_give_the_same_windows(tmp_path):
    generator = np.random.default_rng(0)
    with EpisodeWriter(tmp_path) as writer:
        for length in (3, 9):
            writer.add(
                {name: generator.normal(size=(length, 2)) for name in ("observations", "actions")}
                | {"rewards": np.ones(length)}
            )
    store = EpisodeStore(tmp_path)
    found = Trajectories([store])
    episodes, starts = found.place(np.arange(found.steps))
    own = found.windows(episodes, starts, 5)
    other = sliced_windows(store, returns_to_go(store.fields["rewards"], store.lengths), episodes, starts, 5)
    assert set(own) == set(other)
    assert all(np.array_equal(own[name], other[name]) for name in own)


def test_the_benches_run(monkeypatch):
    monkeypatch.setattr(bench, "GAMES", 2)
    assert all(variant() > 0 for one in bench.benches() for variant in one.variants.values())
