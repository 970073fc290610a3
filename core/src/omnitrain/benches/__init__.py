"""The core's own benches: loop, checkpoints, data path, mixtures, start-up."""

from __future__ import annotations

from omnitrain.api.bench import Bench


def benches() -> list[Bench]:
    """Return all of them; peers that are not installed are named as absent."""
    from omnitrain.benches.checkpoint import checkpoint_bench
    from omnitrain.benches.data import batches_bench
    from omnitrain.benches.ledger import ledger_bench
    from omnitrain.benches.loop import everything_bench, fixed_cost_bench, precision_bench, real_size_bench
    from omnitrain.benches.mixing import mixture_bench
    from omnitrain.benches.resume import load_bench, place_bench
    from omnitrain.benches.start import start_bench

    found = [
        fixed_cost_bench(),
        real_size_bench(),
        everything_bench(),
        precision_bench(),
        checkpoint_bench(),
        place_bench(),
        load_bench(),
        batches_bench(),
        mixture_bench(),
        ledger_bench(),
        *start_bench(),
    ]
    return [bench for bench in found if bench is not None]
