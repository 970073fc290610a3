"""One fault a check: each is found by that check alone."""

from sample import Fault

PLUGIN, CONFIGS, PARTS, TINY = "plugin.py", "configs.py", "parts.py", "tiny.yaml"
LAST_LINE = "        return Loss(total, weight)"
SUMS = "        total, weight = (error * mask).sum(), mask.sum()"
POWER = "    power: float = Field(default=2.0, gt=0)"
SQUARE = '    """Exponent of the error."""'
COMPONENTS_END = '"omnitrain_NAME.parts:Error"),\n'

FAULTS = {
    "unhealthy": Fault("healthy", "upgrade omnitrain-core", ((PLUGIN, 'api="1.1"', 'api="9.0"'),)),
    "heavy description": Fault(
        "light import",
        "torch: import omnitrain.api only",
        ((PLUGIN, "from omnitrain.api", "import torch  # noqa: F401\nfrom omnitrain.api"),),
    ),
    "no summary": Fault("metadata", "The model 'net' has no summary: say in one line", ((PLUGIN, '"A small net."', '""'),)),
    "no paper": Fault("paper", "It names no paper: set Plugin.paper", ((PLUGIN, "arXiv 0000.00000", ""),)),
    "bare readme": Fault("readme", "no section on fidelity", (("README.md", "## Fidelity", "## More"),)),
    "heavy config": Fault(
        "NAME/rows config light",
        "loads numpy: import omnitrain.api and pydantic only",
        (
            (PLUGIN, "omnitrain_NAME.configs:Rows", "omnitrain_NAME.evidence:Rows"),
            (
                "evidence.py",
                '"""Golden vectors and claims."""',
                '"""Golden vectors and claims."""\nimport numpy  # noqa\nfrom omnitrain_NAME.configs import Rows  # noqa',
            ),
        ),
    ),
    "silent field": Fault(
        "NAME/square config documented", "Square.power has no docstring", ((CONFIGS, f"{POWER}\n{SQUARE}", POWER),)
    ),
    "drifting setting": Fault(
        "NAME/square config round trip",
        "Square.power changes when the settings are written",
        (
            (
                CONFIGS,
                SQUARE,
                f"{SQUARE}\n\n    @field_validator('power')\n    @classmethod\n"
                "    def _more(cls, value: float) -> float:\n        return value + 0.5",
            ),
        ),
    ),
    "lax config": Fault(
        "NAME/square config strict",
        "Square takes an unknown key",
        ((CONFIGS, '    """Squared error."""', '    """Squared error."""\n    model_config = ConfigDict(extra="ignore")'),),
    ),
    "idle component": Fault(
        "NAME/unused exercised",
        "is not exercised: add it to the recipe tiny",
        (
            (
                PLUGIN,
                COMPONENTS_END,
                f'{COMPONENTS_END}            Component("evaluator", "unused", "Nothing.", '
                '"omnitrain_NAME.configs:Unused", "omnitrain_NAME.parts:Error"),\n',
            ),
        ),
    ),
    "undeclared field": Fault(
        "tiny/train batch fields",
        "carries extra, which 'batch' does not declare",
        ((PARTS, "        return batch\n", '        return {**batch, "extra": np.zeros(len(x), np.float32)}\n'),),
    ),
    "other second reading": Fault(
        "tiny/train read twice",
        "The second reading of a split gives other batches",
        (
            (
                PARTS,
                'return self.rows[8:] if split == "train" else self.rows[:8]',
                'return [r + (self.readings > 2) for r in self.rows[8:]] if split == "train" else self.rows[:8]',
            ),
        ),
    ),
    "blind fingerprint": Fault(
        "tiny/train fingerprint",
        "With another 'scale' the batches differ and the fingerprint does not",
        ((PARTS, "config.model_dump_json()", 'config.model_dump_json(exclude={"scale"})'),),
    ),
    "parameter without gradient": Fault(
        "tiny/train gradients",
        "No gradient reaches idle.weight, idle.bias",
        ((PARTS, "        self.drop =", "        self.idle = nn.Linear(1, 1)\n        self.drop ="),),
    ),
    "padding counted": Fault(
        "tiny/train padding",
        "more positions of padding the loss has weight",
        ((PARTS, SUMS, "        total, weight = (error * mask).sum(), float(mask.numel())"),),
    ),
    "mean over rows": Fault(
        "tiny/train splitting",
        "return a SUM over elements and its weight",
        ((PARTS, SUMS, "        total, weight = (error * mask).sum() / len(mask), mask.sum()"),),
    ),
    "nothing divided by nothing": Fault(
        "tiny/train zero weight",
        "Where no element has weight the loss is nan",
        ((PARTS, SUMS, "        weight = mask.sum()\n        total = (error * mask).sum() / weight * weight"),),
    ),
    "forgotten state of the model": Fault(
        "tiny/train save and load",
        "same weights and another loss",
        (
            (PARTS, "        self.drop =", "        self.shift = float(np.random.rand())\n        self.drop ="),
            (PARTS, "squeeze(-1)\n\n\ndef net", "squeeze(-1) + self.shift\n\n\ndef net"),
        ),
    ),
    "no mini": Fault(
        "recipes",
        "There is no recipe 'mini'",
        ((PLUGIN, '            Recipe("mini", "Minutes.", "omnitrain_NAME:mini.yaml"),\n', ""),),
    ),
    "misspelt recipe": Fault(
        "recipe mini", "widht: unknown key. Did you mean 'width'?", (("mini.yaml", "width: 4", "widht: 4"),)
    ),
    "crash in tiny": Fault(
        "tiny runs",
        "ends with exit code 1: KeyError: 'nothing' (parts.py",
        (
            (
                PARTS,
                '        batch = data.collate(data.examples("valid")',
                '        {}["nothing"]\n        batch = data.collate(data.examples("valid")',
            ),
        ),
    ),
    "order of a set": Fault(
        "tiny determinism",
        "Two runs of tiny with the same seed differ",
        (
            (
                PARTS,
                "    model = Pointwise(config)\n",
                "    model = Pointwise(config)\n    words = list({str(i) for i in range(99)})\n"
                "    nn.init.constant_(model.outer.bias, int(words[0]) / 99)\n",
            ),
        ),
    ),
    "forgotten state of the run": Fault(
        "tiny resume",
        "Stopped and resumed, tiny ends with other results",
        (
            (
                PARTS,
                LAST_LINE,
                f"        if model.training:\n            self.calls += 1\n            total = total * self.calls\n{LAST_LINE}",
            ),
        ),
    ),
    "untyped setting": Fault(
        "mistakes",
        "data.hint takes a mapping, a list, text, a number and a switch alike",
        (
            (
                CONFIGS,
                '    """Factor of all numbers."""',
                '    """Factor of all numbers."""\n    hint: object = None\n    """Anything."""',
            ),
        ),
    ),
    "nothing claimed": Fault(
        "claims", "none of its paper's claims", ((PLUGIN, "        claims=(\n", "        claims=() and (\n"),)
    ),
    "claim on a stage that is not there": Fault(
        "claim C1", "the recipe has no stage 'trian'", ((PLUGIN, "train.fit.steps=12", "trian.fit.steps=12"),)
    ),
    "other numbers than the official code": Fault(
        "golden vectors", "squares.json: 1 of 2 cases fail", (("squares.json", '"output": 9', '"output": 8'),)
    ),
}
