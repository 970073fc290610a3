"""A bench of the toy plugin whose numbers are made up, so that they are always the same."""

from omnitrain.api.bench import Bar, Bench


def benches():
    """Return two benches."""
    return [
        Bench(
            "sum", "Adding up.", "us", "ours", {"ours": lambda: 2.0, "peer": lambda: 3.0}, bars=(Bar("peer", 1.2),), rounds=2
        ),
        Bench("sort", "Sorting.", "us", "ours", {"ours": lambda: 4.0, "peer": lambda: 2.0}, absent=("other",), rounds=2),
    ]
