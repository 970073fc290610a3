"""The paper's claims, and how they are measured again in miniature. Light: imports omnitrain.api only."""

from __future__ import annotations

from omnitrain.api import Claim, Contrast, Looks, Published, Variant

# So many seeds the stored numbers rest on; they see effects above 3.3 standard deviations only.
THREE_SEEDS = Looks.fixed(3)

ARM = "ul2/arm"
# Rates over the tasks of recipes/arm.yaml: R(3), R(8), X(3), X(8), X(24, .15), X(24, .5), S(.25), prefix LM, causal LM.
RATES: dict[str, str] = {
    "UL2": "[0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0, 0]",
    "span corruption": "[1, 0, 0, 0, 0, 0, 0, 0, 0]",
    "prefix LM": "[0, 0, 0, 0, 0, 0, 0, 1, 0]",
    "causal LM": "[0, 0, 0, 0, 0, 0, 0, 0, 1]",
    "SCLM": "[0.5, 0, 0, 0, 0, 0, 0, 0, 0.5]",
    "UniLM": "[1, 0, 0, 0, 0, 0, 0, 1, 1]",
    "S 0 %": "[0.25, 0.25, 0.125, 0.125, 0.125, 0.125, 0, 0, 0]",
    "S 50 %": "[0.125, 0.125, 0.0625, 0.0625, 0.0625, 0.0625, 0.5, 0, 0]",
    "S 100 %": "[0, 0, 0, 0, 0, 0, 1, 0, 0]",
}


def arm(name: str) -> Variant:
    """Return the run that trains one objective and measures it on every task."""
    return Variant(name, ARM, (f"pretrain.data.rates={RATES[name]}",))


# The GPT-like anchor: decoder-only, with equal compute per token.
GPT = (
    "pretrain.data.mixture=causal_lm",
    "pretrain.data.denoisers=[]",
    "pretrain.data.rates=null",
    "pretrain.data.layout=decoder-only",
    "pretrain.data.inputs_length=134",
    "pretrain.data.targets_length=140",
    "pretrain.model={use: language/causal, style: gpt2, size: mini-half, max_length: 192}",
    *(f"{stage}.objective.use=language/causal-nll" for stage in ("pretrain", "kinds", "summaries")),
    "kinds.data.layout=decoder-only",
    'kinds.data.prefix="[S]"',
    'summaries.data.prefix="[S]"',
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        statement="UL2 is better than a decoder-only causal LM and than span corruption, fine-tuned and one-shot.",
        paper={
            "gain over span corruption (%)": Published(43.6, "abstract and section 4.3 [mem]"),
            "gain over a causal LM (%)": Published(76.1, "abstract and section 4.3 [mem]"),
        },
        variants=(
            Variant("UL2", "ul2/finetune", (f"pretrain.data.rates={RATES['UL2']}",)),
            Variant(
                "span corruption",
                "ul2/finetune",
                (f"pretrain.data.rates={RATES['span corruption']}", 'summaries.data.prefix="[R]"'),
            ),
            Variant("causal LM", "ul2/finetune", GPT),
        ),
        measure=".evidence.measures:finetuning",
        contrasts=(
            Contrast("mean gain over span corruption (%)", "no gain", "higher"),
            Contrast("mean gain over causal LM (%)", "no gain", "higher"),
        ),
        nothing=("mean gain of the untrained model (%)",),
        looks=THREE_SEEDS,
        minutes=6.0,
        note="Mean relative gain (%) over five columns; each arm in its best mode; the decoder has equal compute per token. "
        "Steps are equal, tokens with a loss are not: the decoder sees 4.6 times as many.",
    ),
    Claim(
        id="C2",
        statement="UL2 is better than span corruption, prefix LM, causal LM and their mixtures within one architecture.",
        paper={
            "gain over span corruption, all tasks (%)": Published(43.6, "abstract and section 4.3 [mem]"),
            "gain over a causal LM, all tasks (%)": Published(76.1, "abstract and section 4.3 [mem]"),
        },
        variants=tuple(arm(n) for n in ("UL2", "span corruption", "prefix LM", "causal LM", "SCLM", "UniLM")),
        measure=".evidence.measures:objective_matrix",
        contrasts=(
            Contrast("UL2", "span corruption", "lower"),
            Contrast("UL2", "prefix LM", "lower"),
            Contrast("UL2", "causal LM", "lower"),
            Contrast("UL2", "SCLM", "lower"),
            Contrast("UL2", "UniLM", "lower"),
        ),
        nothing=("untrained",),
        looks=THREE_SEEDS,
        minutes=12.0,
        note=(
            "Worst-case regret (nats a token of text, probabilities renormalised over text tokens) over regular, extreme and "
            "prefix-LM tasks: the largest distance to the best arm; every arm is asked in its best mode for each task. "
            "SCLM: half span corruption, half causal LM; UniLM: a third each of span corruption, prefix LM and causal LM."
            " Steps are equal, tokens with a loss are not: a row has 14 to 63, UL2 29."
        ),
    ),
    Claim(
        id="C3",
        statement="The mode matters: a model answers a task best under the mode token that it was trained with.",
        paper={"one-shot XSum, right against wrong mode (%)": Published(48.0, "section 4.3 [mem]")},
        variants=(arm("UL2"),),
        measure=".evidence.measures:modes",
        contrasts=(Contrast("right mode", "wrong mode", "lower"),),
        nothing=("no mode",),
        looks=THREE_SEEDS,
        minutes=2.5,
        note="Loss per target token, sentinels and EOS counted: prefix LM under [S] and infilling under [R], against the two "
        "exchanged.",
    ),
    Claim(
        id="C4",
        statement="About 20 % of sequential denoising is best: none, half and all of it are worse.",
        paper={"share of S": Published("about 20 %", "section 4.5, confirmed by reproductions that cite it")},
        variants=(arm("S 0 %"), arm("UL2"), arm("S 50 %"), arm("S 100 %")),
        measure=".evidence.measures:share_of_s",
        contrasts=(
            Contrast("20 %", "0 %", "lower"),
            Contrast("20 %", "50 %", "lower"),
            Contrast("20 %", "100 %", "lower"),
        ),
        nothing=("untrained",),
        looks=THREE_SEEDS,
        minutes=8.0,
        note="Worst-case regret over regular, extreme and prefix-LM tasks among the four shares.",
    ),
)
