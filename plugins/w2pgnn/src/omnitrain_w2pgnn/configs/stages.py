"""Settings of the stages. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseArtifact, UseData, UseModel
from omnitrain_w2pgnn.configs.evaluators import DownstreamConfig
from omnitrain_w2pgnn.configs.limits import Count, Share
from omnitrain_w2pgnn.configs.models import GinConfig

METHOD = Literal["SAS", "LG", "MC", "USVT", "SBA", "GWB", "SGWB", "FGWB", "SFGWB"]
SPLIT = Literal["integr", "domain", "topo"]


class EstimatorConfig(Config):
    """How the graphon of a set of graphs is estimated (section 4.1)."""

    method: METHOD = "USVT"
    """Estimator. Code: SAS, whose official smoothing flattens small graphs; USVT keeps their structure."""
    tv_weight: Annotated[float, Field(ge=0)] | None = 0.05
    """SAS: weight of the total variation; null takes the block width, 4 to 10, as the code does, and flattens."""
    usvt_threshold: Annotated[float, Field(gt=0)] = 0.1
    """USVT: singular values below this times sqrt(nodes) are dropped. Function of the code: 2.02; in practice 0.1 to 0.2."""
    sba_threshold: Annotated[float, Field(gt=0)] = 0.1
    """SBA: a node joins a block when it is nearer than this. Code: 0.1."""
    smoothness: Annotated[float, Field(ge=0)] = 3e-4
    """Barycenters: weight of the second differences. Code: 3e-4."""
    kernel: Annotated[float, Field(gt=0)] = 5e-3
    """Barycenters: entropic regularisation. Code: 5e-3."""
    balance: Share = 0.1
    """Fused barycenters: share of the structural cost. Code: 0.1."""
    inner: Count = 50
    """Barycenters: Sinkhorn sweeps. Code: 50."""
    outer: Count = 20
    """Barycenters: updates. Code: 20."""
    max_nodes: Count | None = 128
    """Larger graphs keep their nodes of highest degree: one huge graph would make all others look empty. Code: no limit."""


class MixtureFitConfig(Config):
    """How mixtures are fitted to the target (section 4.3)."""

    compat: Literal["sound", "official"] = "sound"
    """sound: exact Gromov-Wasserstein distance with square loss, never NaN. official: the code's fit, defects included."""
    resolution: Annotated[int, Field(ge=2, le=1024)] = 32
    """Size of the graphons when they are compared. Code: 1000."""
    random_starts: Annotated[int, Field(ge=0)] = 8
    """Random couplings that each thorough search starts from, besides those by degree and by eigenvectors."""
    search: Literal["thorough", "quick"] = "thorough"
    """thorough: from all starts, subsets of bases first. quick: one descent for the mixture and one for each basis."""
    epochs: Count = 100
    """official: epochs of the fit. Code: 100."""


class PoolConfig(Config):
    """Candidates to pre-train on, and targets."""

    candidates: dict[str, UseData] = Field(min_length=1)
    """Name to pre-training graphs; each is a domain."""
    targets: dict[str, UseData] = Field(min_length=1)
    """Name to downstream graphs."""
    overlap: Literal["refuse", "flag", "allow"] = "refuse"
    """What to do when a target's graphs are among a candidate's: pre-training on the target proves nothing."""

    @model_validator(mode="after")
    def _names_are_plain(self) -> PoolConfig:
        bad = [name for name in [*self.candidates, *self.targets] if not name.strip() or "/" in name or "+" in name]
        if bad:
            raise ValueError(f"candidates and targets: the name {bad[0]!r} is empty or holds a slash or a plus sign")
        return self


class FeasibilityConfig(PoolConfig):
    """How feasible it is to pre-train on the candidates for each target, and which mixture comes nearest."""

    estimator: EstimatorConfig = EstimatorConfig()
    """How graphons are estimated."""
    fit: MixtureFitConfig = MixtureFitConfig()
    """How mixtures are fitted."""
    splits: list[SPLIT] = Field(default=["integr", "domain", "topo"], min_length=1)
    """Ways to split the pre-training graphs into bases; the best counts."""
    clusters: Count = 5
    """Bases of the split topo. Code: 5."""
    resamples: Annotated[int, Field(ge=0)] = 10
    """Times that the graphs are drawn again, with replacement, for the spread of the result."""

    def artifacts(self) -> dict[str, str]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"feasibility.json": "report"}


class SelectConfig(PoolConfig):
    """Which candidates to pre-train on, when only so many may be taken."""

    estimator: EstimatorConfig = EstimatorConfig()
    """How graphons are estimated."""
    fit: MixtureFitConfig = MixtureFitConfig()
    """How mixtures are fitted."""
    budget: Count = 2
    """Candidates that are taken."""
    up_to: bool = False
    """Take fewer where these are as feasible; by default exactly `budget` are taken."""
    exact_limit: Count = 2000
    """Most subsets that are all tried; above, a beam search looks at the best ones of each size."""
    beam: Count = 8
    """Subsets of each size that a beam search goes on with."""

    @model_validator(mode="after")
    def _budget_fits(self) -> SelectConfig:
        if self.budget > len(self.candidates):
            raise ValueError(f"budget {self.budget} is larger than the number of candidates, {len(self.candidates)}")
        return self

    def artifacts(self) -> dict[str, str | UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"selection.json": "report", "data": UseData(use="w2pgnn/saved")}


class PretrainConfig(Config):
    """A short pre-training run, the same for every selection."""

    steps: Annotated[int, Field(ge=0)] = 100
    """Optimiser updates."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Pairs of one update."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    """Peak learning rate: up over the first 10 % of the steps, then linearly to 0. Code: 5e-3."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    """Of Adam, added to the gradient. Code: 1e-5."""
    clip_value: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest absolute value of a gradient's entry. Code: 1.0."""
    visits: Count = 64
    """GCC: nodes that a walk visits. Code: 256."""
    restart: Annotated[float, Field(gt=0, le=1)] = 0.8
    """GCC: chance to go back to the seed. Code: 0.8."""
    temperature: Annotated[float, Field(gt=0)] = 0.07
    """GCC: divides similarities. Code: 0.07."""
    queue: Count = 512
    """GCC with momentum: keys in the queue. Code: 16384."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """GCC with momentum: how slowly the key encoder follows. Code: 0.999."""
    graphcl_temperature: Annotated[float, Field(gt=0)] = 0.2
    """GraphCL: divides similarities."""
    share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """GraphCL: share that an augmentation changes."""


class TuningConfig(Config):
    """Fine-tuning of encoder and a linear classifier, by cross-validation."""

    epochs: Annotated[int, Field(ge=0)] = 10
    """Epochs of each fold; 0 leaves fine-tuning out. Code: 30."""
    folds: Annotated[int, Field(ge=2)] = 3
    """Folds. Code: 10."""
    batch_size: Annotated[int, Field(ge=2)] = 32
    """Rows of one update. Code: 32."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    """Learning rate. Code: 5e-3."""


STRATEGY = Literal["gcc-e2e", "gcc-moco", "graphcl", "masking"]


class FinetuneConfig(DownstreamConfig):
    """Fine-tune a pre-trained encoder on labelled targets and measure it by cross-validation."""

    model: UseModel
    """The encoder, usually {from: stage}."""
    targets: dict[str, UseData] = Field(min_length=1)
    """Name to labelled graphs."""
    finetune: TuningConfig = TuningConfig(epochs=30, folds=10)
    """Epochs, folds and learning rate."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    def artifacts(self) -> dict[str, str]:
        """Return nothing, since the stage only reports; see omnitrain.api.TellsArtifacts."""
        return {}


class TransferConfig(PoolConfig):
    """Pre-train on every selection with every strategy, and measure on every target, frozen and fine-tuned."""

    overlap: Literal["refuse", "flag", "allow"] = "flag"
    """Selections that hold a target are not measured on it; refuse ends the run instead."""
    selections: list[list[str]] | None = None
    """Sets of candidates to pre-train on; by default all of one up to `budget`, and all candidates together."""
    budget: Count = 2
    """Size of the largest selection, where `selections` does not list them."""
    strategies: list[STRATEGY] = Field(default=["gcc-e2e", "graphcl", "masking"], min_length=1)
    """Pre-training strategies; the best one counts."""
    encoder: GinConfig = GinConfig()
    """The encoder."""
    pretrain: PretrainConfig = PretrainConfig()
    """The pre-training run."""
    downstream: DownstreamConfig = DownstreamConfig()
    """How targets are scored."""
    finetune: TuningConfig = TuningConfig()
    """Fine-tuning; the better of frozen and fine-tuned counts."""
    untrained: bool = True
    """Also measure the encoder without any pre-training."""
    positions: Annotated[int, Field(ge=0, le=512)] = 32
    """Laplacian eigenvectors of each node."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    @model_validator(mode="after")
    def _selections_name_candidates(self) -> TransferConfig:
        unknown = sorted({name for chosen in self.selections or [] for name in chosen} - set(self.candidates))
        if unknown:
            raise ValueError(f"selections: there is no candidate {unknown[0]!r}")
        if any(not chosen for chosen in self.selections or []):
            raise ValueError("selections: a selection is empty")
        return self

    def artifacts(self) -> dict[str, str]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"scores": "scores"}


class UseScores(UseArtifact):
    """{from: stage} of w2pgnn/transfer."""

    product = "scores"
    artifact_kind = "scores"


class CorrelateConfig(PoolConfig):
    """How well feasibility, and each baseline, orders selections by what pre-training on them really gains."""

    overlap: Literal["refuse", "flag", "allow"] = "flag"
    """Selections that hold a target were not measured on it and are left out; refuse ends the run instead."""
    scores: UseScores
    """{from: stage} of w2pgnn/transfer."""
    estimators: dict[str, EstimatorConfig] = Field(default={"USVT": EstimatorConfig()}, min_length=1)
    """Name to estimator; the first is the one that claims are about."""
    fit: MixtureFitConfig = MixtureFitConfig()
    """How mixtures are fitted."""
    bootstraps: Annotated[int, Field(ge=0)] = 1000
    """Draws for the intervals of correlations."""

    def artifacts(self) -> dict[str, str]:
        """Return nothing, since the stage only reports; see omnitrain.api.TellsArtifacts."""
        return {}


class RecoveryConfig(Config):
    """Soundness on planted mixtures: is the truth found, on true and on estimated graphons?"""

    types: list[Annotated[int, Field(ge=0, le=12)]] = Field(default=[0, 4, 6], min_length=1)
    """Synthetic graphons that are the bases."""
    weights: list[Share] = Field(default=[0.7, 0.2, 0.1], min_length=1)
    """The planted mixture."""
    resolution: Annotated[int, Field(ge=4, le=256)] = 32
    """Size of the graphons; even, for types 11 and 12."""
    graph_counts: list[Count] = Field(default=[5, 20], min_length=1)
    """Graphs that are sampled from each graphon, one setting after the other."""
    graph_sizes: list[Annotated[int, Field(ge=4)]] = Field(default=[100, 200], min_length=1)
    """Nodes of the sampled graphs, one setting after the other."""
    estimators: list[METHOD] = Field(default=["USVT", "SAS", "LG"], min_length=1)
    """Estimators that are tried."""
    official: bool = True
    """Run the official fit beside ours."""
    permutations: Annotated[int, Field(ge=0)] = 5
    """Random renumberings of the target's nodes."""

    @model_validator(mode="after")
    def _weights_fit(self) -> RecoveryConfig:
        if len(self.weights) != len(self.types):
            raise ValueError(f"weights has {len(self.weights)} entries for {len(self.types)} types")
        if abs(sum(self.weights) - 1) > 1e-9:
            raise ValueError(f"weights add up to {sum(self.weights):g}, expected 1")
        return self

    def artifacts(self) -> dict[str, str]:
        """Return nothing, since the stage only reports; see omnitrain.api.TellsArtifacts."""
        return {}
