"""Golden vectors of formats and actions: camera, joint actions, lines, pointer."""

from __future__ import annotations

import numpy as np

from omnitrain_control.bins import Bins
from omnitrain_vpt.evidence.parity.values import Json, array
from omnitrain_vpt.paper import actions as mapping
from omnitrain_vpt.paper.minecraft import BUTTON_INDEX, BUTTONS, SequenceRules, action_of_line
from omnitrain_vpt.recordings.cursor import paint_cursor
from omnitrain_vpt.recordings.format import kept_lines


def camera_quantizer(case: Json, shared: Json) -> Json:
    """Bins of degrees and the way back."""
    bins = Bins(case["camera_maxval"], case["camera_binsize"], case["quantization_scheme"], case.get("mu") or 10.0)
    if "degrees" not in case:
        return {"degrees_back": bins.decode(array(case["bins"], "int64")).tolist()}
    encoded = bins.encode(array(case["degrees"], "float64"))
    return {"bins": encoded.tolist(), "degrees_back": bins.decode(encoded).tolist()}


def _tables() -> Json:
    table = mapping.button_table().astype(np.int64)
    rows, columns = (np.arange(1, n + 1, dtype=np.int64) for n in table.shape)
    return {
        "buttons_order": list(BUTTONS),
        "groups": {name: list(members) for name, members in mapping.GROUPS.items()},
        "n_buttons_joint": mapping.JOINT_BUTTONS,
        "n_camera_joint": mapping.JOINT_CAMERAS,
        "camera_null_bin": mapping.CAMERA_ZERO,
        "camera_null_idx": mapping.NULL_CAMERA,
        "null_buttons_idx": mapping.NULL_BUTTONS,
        "inventory_idx": mapping.INVENTORY,
        "sum_button_table": int(table.sum()),
        "column_sums_button_table": table.sum(0).tolist(),
        "n_camera_meta_off": int(mapping.camera_off().sum()),
        "weighted_checksum": int((table * rows[:, None] * columns[None]).sum()),
    }


def action_mapping(case: Json, shared: Json) -> Json:
    """Factored to joint and back."""
    if "what" in case:
        return _tables()
    if case["op"] == "factored_to_joint":
        joint, camera = mapping.to_joint(array(case["buttons"], "int64"), array(case["camera_bins"], "int64"))
        back, bins = mapping.to_factored(joint, camera)
        return {
            "buttons_joint": joint[:, None].tolist(),
            "camera_joint": camera[:, None].tolist(),
            "roundtrip_buttons": back.tolist(),
            "roundtrip_camera_bins": bins.tolist(),
        }
    buttons, bins = mapping.to_factored(array(case["buttons_joint"], "int64"), array(case["camera_joint"], "int64"))
    degrees = mapping.CAMERA.decode(bins)
    return {"buttons": buttons.tolist(), "camera_bins": bins.tolist(), "env_camera_degrees": degrees.tolist()}


def env_to_policy(case: Json, shared: Json) -> Json:
    """Environment actions to factored and joint ones."""
    batch = case["env_action_batch"]
    camera = mapping.CAMERA.encode(array(batch["camera"], "float64"))
    buttons = np.zeros((len(camera), len(BUTTONS)), np.uint8)
    for name, values in batch.items():
        if name in BUTTON_INDEX:
            buttons[:, BUTTON_INDEX[name]] = array(values, "int64")
    joint, joint_camera = mapping.to_joint(buttons, camera)
    return {
        "buttons": buttons.tolist(),
        "camera_bins": camera.tolist(),
        "buttons_joint": joint[:, None].tolist(),
        "camera_joint": joint_camera[:, None].tolist(),
    }


def jsonl_action(case: Json, shared: Json) -> Json:
    """One line as an action, with the official truncation beside the intended value."""
    legacy = action_of_line(case["line"], legacy_int_camera=True)
    intended = action_of_line(case["line"])
    found = legacy.environment()
    return {
        "env_action": {**found, "camera": found["camera"].tolist()},
        "is_null": legacy.null,
        "camera_without_truncation": list(intended.camera),
    }


def loader_sequence(case: Json, shared: Json) -> Json:
    """Which lines survive with which buttons, with the official loader's options."""
    rules = SequenceRules(escape_closes_inventory=False, legacy_int_camera=True)
    kept = [(number, action) for number, action in kept_lines(case["lines"], rules) if number < case["n_frames"]]
    return {
        "kept": [
            {"frame_index": number, "active": sorted(action.pressed), "camera": list(action.camera)}
            for number, action in kept
            if not action.null
        ]
    }


def loader_difference(expected: Json, actual: Json, case: Json) -> str | None:
    """Compare kept lines; the order of the buttons of a line does not count."""
    wanted = [{**entry, "active": sorted(entry["active"])} for entry in expected["kept"]]
    return None if wanted == actual["kept"] else f"output.kept is {actual['kept']}, expected {wanted}"


def cursor_composite(case: Json, shared: Json) -> Json:
    """The pointer painted onto a picture."""
    image, cursor, alpha = (array(case[name], "uint8") for name in ("image", "cursor", "alpha_255"))
    return {"image": paint_cursor(image, cursor, alpha, case["x"], case["y"]).tolist()}
