"""The paper's claims, and how they are measured again in miniature. Light: imports omnitrain.api only."""

from __future__ import annotations

from omnitrain.api import Claim, Contrast, Looks, Published, Variant

# So many seeds the stored numbers rest on; they see effects above 3.3 standard deviations only.
THREE_SEEDS = Looks.fixed(3)

INVERSE = Variant("inverse", "vpt/inverse")
CHAIN = Variant("chain", "vpt/chain")
LEASH = Variant("leash", "vpt/leash")
_REWARD = "Mean item reward of 128 episodes of 200 steps in unseen worlds (wood to diamond; the most is about 20)."

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        statement="A non-causal inverse dynamics model needs a fraction of the labels that a causal one needs.",
        paper={
            "keypress accuracy after 1962 h (%)": Published(90.6, "section 4.1 [mem]"),
            "mouse R2 after 1962 h": Published(0.97, "section 4.1 [mem]"),
            "advantage over causal cloning, in data": Published("orders of magnitude", "figure 4 [mem]"),
        },
        variants=(INVERSE,),
        measure="omnitrain_vpt.evidence.measures:inverse",
        contrasts=(Contrast("IDM, 20 clips", "causal, 100 clips", "higher", margin=0.1),),
        nothing=(Contrast("IDM, 20 clips, keypress_accuracy", "IDM, 20 clips, always_null_accuracy", "higher"),),
        looks=THREE_SEEDS,
        minutes=6.0,
        note="All 20 keys right, share of the frames with a key pressed, on unseen worlds; equal updates. As in the game, a "
        "hand shows in the next frame what was pressed, which a causal model does not see: it tells what the player is about "
        "to do. A key counts as pressed where that is likelier than not; the negative log-likelihoods need no such threshold.",
    ),
    Claim(
        id="C2",
        statement="The convolution over time is essential for the inverse dynamics model.",
        paper={"ablation": Published(None, "appendix D.1; no number at hand")},
        variants=(INVERSE,),
        measure="omnitrain_vpt.evidence.measures:inverse",
        contrasts=(Contrast("IDM, 100 clips", "without convolution, 100 clips", "higher"),),
        nothing=(Contrast("IDM, 100 clips, keypress_accuracy", "IDM, 100 clips, always_null_accuracy", "higher"),),
        looks=THREE_SEEDS,
        minutes=6.0,
        note="As C1. Without it nothing tells the order of frames: attention has neither mask nor relative bias.",
    ),
    Claim(
        id="C3",
        statement="A policy cloned from labelled video plays better than one cloned from the small labelled set alone.",
        paper={"crafting tables from contractor data alone": Published("none", "section 4.2 and figure 6 [mem]")},
        variants=(CHAIN,),
        measure="omnitrain_vpt.evidence.measures:rewards",
        contrasts=(Contrast("labelled video", "labelled play", "higher"),),
        nothing=("random policy",),
        looks=THREE_SEEDS,
        minutes=15.0,
        note=(
            _REWARD + " 400 clips of video, 40 of labelled play. Beside them a policy cloned from what was really pressed in "
            "the video, and each policy's negative log-likelihood of other players' actions in those worlds."
            " The small set was trained on for 600 updates, the video for 2000; neither number was tuned."
        ),
    ),
    Claim(
        id="C4",
        statement="Fine-tuning by cloning on a small set of the start of the game raises early skills.",
        paper={"early skills": Published("one to two orders of magnitude", "section 4.3 [mem]")},
        variants=(CHAIN,),
        measure="omnitrain_vpt.evidence.measures:early_skills",
        contrasts=(Contrast("fine-tuned", "foundation", "higher"),),
        nothing=("random policy",),
        looks=THREE_SEEDS,
        minutes=15.0,
        note="Mean rate of log, crafting table and wooden pickaxe in 128 episodes in unseen worlds. The set: 100 games with "
        "few detours, up to the stone pickaxe.",
    ),
    Claim(
        id="C5",
        statement="Reinforcement from the cloned policy reaches what reinforcement from random weights does not.",
        paper={
            "diamond pickaxe, from the early-game model (%)": Published(2.5, "section 4.4 [mem]"),
            "from random weights": Published("almost nothing", "section 4.4 [mem]"),
        },
        variants=(LEASH,),
        measure="omnitrain_vpt.evidence.measures:leashed",
        contrasts=(Contrast("with leash", "from scratch", "higher"),),
        nothing=("cloned",),
        looks=THREE_SEEDS,
        minutes=20.0,
        note=_REWARD + " Cloning alone reaches .94 to 1.17: the difference is mostly that of the starts.",
    ),
    Claim(
        id="C6",
        statement="With the leash to the pretrained policy reinforcement obtains more at equal steps than without it.",
        paper={"iron pickaxe without the leash": Published("none", "section 4.4 [mem]")},
        variants=(LEASH,),
        measure="omnitrain_vpt.evidence.measures:leashed",
        contrasts=(Contrast("with leash", "without leash", "higher"),),
        nothing=("cloned",),
        looks=THREE_SEEDS,
        minutes=20.0,
        note=(
            _REWARD + " At equal environment steps."
            " The paper says that without it later skills are forgotten; that is not measured, and without the leash the "
            "reward rises over the cloned policy's as well."
        ),
    ),
    Claim(
        id="C7",
        statement="A better inverse dynamics model gives a better policy.",
        paper={"hours of labels at which it saturates": Published(100, "section 4.6 [mem]")},
        variants=(CHAIN,),
        measure="omnitrain_vpt.evidence.measures:rewards",
        contrasts=(Contrast("labelled video", "poorly labelled video", "higher"),),
        nothing=("labelled play",),
        looks=THREE_SEEDS,
        minutes=15.0,
        note=_REWARD + " Labellers trained on 40 and on 2 clips.",
    ),
)
