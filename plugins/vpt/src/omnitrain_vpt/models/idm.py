"""Model `vpt/idm`: the inverse dynamics model (section 4.1, app. D)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omnitrain.api import Context
from omnitrain_vpt.configs.models import IdmConfig
from omnitrain_vpt.models.fitting import fitting, load
from omnitrain_vpt.models.labeller import Labeller
from omnitrain_vpt.models.network.architecture import IDMS
from omnitrain_vpt.models.network.policy import InverseDynamics
from omnitrain_vpt.models.official import read_model_file


def build(config: IdmConfig, context: Context) -> InverseDynamics:
    """Make the model `vpt/idm`.

    Raises UsageError where the frames' size is another than the data's, DataError for files that can't be used.
    """
    architecture = IDMS[config.size]
    if config.model_file is not None:
        architecture = read_model_file(Path(config.model_file)).architecture
    architecture = fitting(architecture, context, config.image_size)
    architecture = replace(architecture, head_gain=config.head_gain or architecture.head_gain)
    if not config.conv3d:
        architecture = replace(architecture, conv3d=None, image=(*architecture.image[:2], 3))
    elif config.conv3d_spatial == 3 and architecture.conv3d is not None:
        temporal = architecture.conv3d
        wider = replace(temporal, kernel=(temporal.kernel[0], 3, 3), padding=(temporal.padding[0], 1, 1))
        architecture = replace(architecture, conv3d=wider)
    model = InverseDynamics(architecture, config.use_lastlayer, config.causal)
    load(model, config.weights)
    return model


def build_predictor(model: InverseDynamics, directory: Path, context: Context) -> Labeller:
    """Wrap an inverse dynamics model for evaluators."""
    return Labeller(model)
