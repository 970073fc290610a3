"""FLAN-shaped records, and a predictor that answers by a function."""

import json


def record(source="CoT", task="cot_task", number=0, kind="zs_noopt", **changes):
    found = {
        "inputs": f"question {number} of {task}",
        "targets": f"answer {number}",
        "task_source": source,
        "task_name": task,
        "template_type": kind,
    }
    return {**found, **changes}


def write_records(path, records):
    path.write_text("".join(json.dumps(row) + "\n" for row in records), "utf-8")
    return path


class Answers:
    """Writes what a function says of each prompt."""

    def __init__(self, function):
        self.function = function

    def generate_text(self, prompts, **settings):
        return [self.function(prompt) for prompt in prompts]
