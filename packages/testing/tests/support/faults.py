"""One fault a check: each is found by that check alone."""

from sample import Fault

PLUGIN, MEASURES = "plugin.py", "measures.py"
DATA, MODELS, OBJECTIVES, EVALUATORS = "data.py", "models.py", "objectives.py", "evaluators.py"
DATA_CONFIGS, OBJECTIVE_CONFIGS = "configs-data.py", "configs-objectives.py"
LAST_LINE = "        return Loss(total, weight)"
SUMS = "        total, weight = (error * mask).sum(), mask.sum()"
POWER = "    power: float = Field(default=2.0, gt=0)"
SQUARE = '    """Exponent of the error."""'
COMPONENTS_END = '"Mean error."),\n'

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
        ((DATA_CONFIGS, "from omnitrain.api", "import numpy  # noqa: F401\nfrom omnitrain.api"),),
    ),
    "component built elsewhere": Fault(
        "layout addresses",
        "The model NAME/net is built in omnitrain_NAME.data: build it in omnitrain_NAME.models.net, or in",
        (
            (PLUGIN, '"A small net."', '"A small net.", build=".data:build_net"'),
            (DATA, "import numpy as np\n", "import numpy as np\n\nfrom omnitrain_NAME.models import build_net  # noqa: F401\n"),
        ),
    ),
    "module beside plugin.py": Fault("layout folders", "more.py lies beside plugin.py: move it into paper", extra="more.py"),
    "long description": Fault(
        "layout description",
        "lines, expected fewer than 60",
        ((PLUGIN, '"""What the sample holds."""', '"""What the sample holds."""\n' + "# more\n" * 40),),
    ),
    "measure among golden vectors": Fault(
        "layout evidence",
        "is not in omnitrain_NAME.evidence.measures: move it there",
        (
            (PLUGIN, ".evidence.measures:measure", ".evidence.parity:measure"),
            (
                "parity.py",
                "ADAPTERS =",
                "from omnitrain_NAME.evidence.measures import measure  # noqa: E402, F401\n\nADAPTERS =",
            ),
        ),
    ),
    "guide to nowhere": Fault(
        "layout reading guide", "names 'paper:cube', which is not there", (("paper.py", "`paper:square`", "`paper:cube`"),)
    ),
    "bare update": Fault(
        "guarded updates",
        "evaluators.py:6 calls backward of loss itself",
        ((EVALUATORS, "from omnitrain.api", "def tune(loss):\n    loss.backward()\n\n\nfrom omnitrain.api"),),
    ),
    "silent field": Fault(
        "NAME/square config documented",
        "SquareConfig.power has no docstring",
        ((OBJECTIVE_CONFIGS, f"{POWER}\n{SQUARE}", POWER),),
    ),
    "drifting setting": Fault(
        "NAME/square config round trip",
        "SquareConfig.power changes when the settings are written",
        (
            (
                OBJECTIVE_CONFIGS,
                SQUARE,
                f"{SQUARE}\n\n    @field_validator('power')\n    @classmethod\n"
                "    def _more(cls, value: float) -> float:\n        return value + 0.5",
            ),
        ),
    ),
    "unmarked file": Fault(
        "NAME/square config inputs",
        "SquareConfig.word_file looks like the name of a file or folder: type it omnitrain.api.InputPath",
        ((OBJECTIVE_CONFIGS, SQUARE, f'{SQUARE}\n    word_file: str = ""\n    """A list."""'),),
    ),
    "lax config": Fault(
        "NAME/square config strict",
        "SquareConfig takes an unknown key",
        (
            (
                OBJECTIVE_CONFIGS,
                '    """Squared error."""',
                '    """Squared error."""\n    model_config = ConfigDict(extra="ignore")',
            ),
        ),
    ),
    "idle component": Fault(
        "NAME/unused exercised",
        "is not exercised: add it to the recipe tiny",
        (
            (
                PLUGIN,
                COMPONENTS_END,
                f'{COMPONENTS_END}            Component("evaluator", "unused", "Nothing.", build=".evaluators:build_error"),\n',
            ),
        ),
    ),
    "undeclared field": Fault(
        "tiny/train batch fields",
        "carries extra, which 'batch' does not declare",
        ((DATA, "        return batch\n", '        return {**batch, "extra": np.zeros(len(x), np.float32)}\n'),),
    ),
    "other second reading": Fault(
        "tiny/train read twice",
        "The second reading of a split gives other batches",
        (
            (
                DATA,
                'return self.rows[8:] if split == "train" else self.rows[:8]',
                'return [r + (self.readings > 2) for r in self.rows[8:]] if split == "train" else self.rows[:8]',
            ),
        ),
    ),
    "blind fingerprint": Fault(
        "tiny/train fingerprint",
        "With another 'scale' the batches differ and the fingerprint does not",
        ((DATA, "config.model_dump_json()", 'config.model_dump_json(exclude={"scale"})'),),
    ),
    "parameter without gradient": Fault(
        "tiny/train gradients",
        "No gradient reaches idle.weight, idle.bias",
        ((MODELS, "        self.drop =", "        self.idle = nn.Linear(1, 1)\n        self.drop ="),),
    ),
    "padding counted": Fault(
        "tiny/train padding",
        "more positions of padding the loss has weight",
        ((OBJECTIVES, SUMS, "        total, weight = (error * mask).sum(), float(mask.numel())"),),
    ),
    "mean over rows": Fault(
        "tiny/train splitting",
        "return a SUM over elements and its weight",
        ((OBJECTIVES, SUMS, "        total, weight = (error * mask).sum() / len(mask), mask.sum()"),),
    ),
    "nothing divided by nothing": Fault(
        "tiny/train zero weight",
        "Where no element has weight the loss is nan",
        ((OBJECTIVES, SUMS, "        weight = mask.sum()\n        total = (error * mask).sum() / weight * weight"),),
    ),
    "forgotten state of the model": Fault(
        "tiny/train save and load",
        "same weights and another loss",
        (
            (MODELS, "        self.drop =", "        self.shift = float(np.random.rand())\n        self.drop ="),
            (MODELS, "squeeze(-1)\n\n\ndef build_net", "squeeze(-1) + self.shift\n\n\ndef build_net"),
        ),
    ),
    "no mini": Fault(
        "recipes",
        "There is no recipe 'mini'",
        ((PLUGIN, '            Recipe("mini", "Minutes."),\n', ""),),
    ),
    "misspelt recipe": Fault(
        "recipe mini", "widht: unknown key. Did you mean 'width'?", (("mini.yaml", "width: 4", "widht: 4"),)
    ),
    "crash in tiny": Fault(
        "tiny runs",
        "(KeyError: 'nothing', evaluators.py:",
        (
            (
                EVALUATORS,
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
                MODELS,
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
                OBJECTIVES,
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
                DATA_CONFIGS,
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
    "claim that is not compared with doing nothing": Fault(
        "claim C1", "It has no row of doing nothing", ((PLUGIN, 'nothing=("untrained",)', "nothing=()"),)
    ),
    "other numbers than the official code": Fault(
        "golden vectors", "squares.json: 1 of 2 cases fail", (("squares.json", '"output": 9', '"output": 8'),)
    ),
}

# Faults of texts, which no other check is made to see: those of a group are put into one plugin.
TOGETHER = (
    (
        "no summary",
        "bare readme",
        "silent field",
        "module beside plugin.py",
        "long description",
        "guide to nowhere",
        "misspelt recipe",
        "other numbers than the official code",
    ),
    (
        "component built elsewhere",
        "measure among golden vectors",
        "unmarked file",
        "lax config",
        "no mini",
        "claim on a stage that is not there",
        "claim that is not compared with doing nothing",
    ),
)
GROUPS = [*TOGETHER, *((name,) for name in FAULTS if not any(name in group for group in TOGETHER))]
