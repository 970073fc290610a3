"""Models come back from disk as they were."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from omnitrain_testing.findings import Note
from omnitrain_testing.subjects import NO_PARTNER, Substituted

if TYPE_CHECKING:
    from omnitrain_testing.subjects import Subject


def save_and_load(subject: Subject) -> Iterator[str]:
    """Saved and loaded into a model with other initial weights, the weights and the loss agree in every bit."""
    import torch

    from omnitrain.engine import save_model, weights_digest
    from omnitrain.engine.models import restore_weights
    from omnitrain_testing.losses import equal, evaluate

    chosen = subject.found if isinstance(subject, Substituted) else subject
    if chosen is None:
        yield Note(NO_PARTNER)
        return
    folder = chosen.examination.scratch / f"{chosen.name.replace('/', '-')}-saved"
    shutil.rmtree(folder, ignore_errors=True)
    model = chosen.model()
    save_model(model, folder, {**chosen.run.describe_model(chosen.config.model), "facts": chosen.facts})
    loaded = chosen.model("another model")
    restore_weights(loaded, folder)
    if weights_digest(loaded) != weights_digest(model):
        ours, theirs = model.state_dict(), loaded.state_dict()
        names = [name for name in ours if name not in theirs or not equal(ours[name], theirs[name])]
        yield f"After saving and loading, {', '.join(names[:4]) or 'the state'} differs: save every weight and buffer."
        return
    with torch.no_grad():
        before, after = (evaluate(chosen.objective, m.eval(), chosen.batch).total for m in (model, loaded))
    if not equal(before, after):
        yield (
            f"The loaded model has the same weights and another loss ({float(after)!r}, it was {float(before)!r}): "
            "keep whatever it computes with as a parameter or buffer, or make it from the settings alone."
        )
