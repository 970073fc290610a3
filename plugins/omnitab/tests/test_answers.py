"""The evaluator: what is counted as right, in which groups, and what is shown."""

from helpers import record

from omnitrain_omnitab.configs.evaluators import AnswersConfig
from omnitrain_omnitab.evaluators.answers import AnswersEvaluator, judge, report
from omnitrain_omnitab.tables.embedded import embedded_tables
from omnitrain_omnitab.tables.table import Question


def question(answers, canon=None, operation="lookup"):
    return Question("q", "what?", embedded_tables(1, 3, 0)[0], answers, canon, operation=operation)


def test_official_string_and_wikisql_rules_differ_where_they_should():
    number = judge(question(("5",), ("5.0",)), "5.0")
    assert (number.right, number.strings, number.exact) == (True, True, False)
    swapped = judge(question(("a", "b")), "b, a")
    assert (swapped.right, swapped.strings, swapped.exact) == (True, True, False)
    comma = judge(question(("Athens, Greece",)), "athens, greece")
    assert (comma.right, comma.strings, comma.exact) == (True, True, True)
    cited = judge(question(("Foo (bar)",)), "foo")
    assert (cited.right, cited.strings, cited.exact) == (True, False, False)


def test_report_has_accuracies_by_operation_and_size_and_wrong_answers_with_their_table():
    found = [judge(question(("1",)), "1"), judge(question(("2",), operation="count"), "3")]
    evaluation = report(found, wrong=3)
    values = {name: metric.value for name, metric in evaluation.metrics.items()}
    assert values["denotation"] == 0.5
    assert (values["denotation/lookup"], values["denotation/count"], values["denotation/up to 10 rows"]) == (1, 0, 0.5)
    (sample,) = evaluation.samples["wrong"]
    assert (sample.fields["written"], sample.fields["right"]) == ("3", "2")
    assert sample.fields["table"].startswith("col : ")


class Knows:
    """A model that answers the first prompt right."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def generate_text(self, prompts, **settings):
        self.asked.append((prompts, settings))
        return [f" {self.answer}", *(" something else" for _ in prompts[1:])]


class QuietRun:
    def seed(self, name):
        return 7


def test_a_model_is_asked_with_the_ids_of_the_data_and_the_settings_of_the_evaluator(make_questions, lines):
    path = str(lines(*(record(f"question {i}?", answers=["ann"]) for i in range(3))))
    data = make_questions(path=path, valid_fraction=0)
    model = Knows("ann")
    evaluator = AnswersEvaluator(AnswersConfig(split="train", num_beams=3, no_repeat_ngram_size=3))
    evaluation = evaluator(model, data, QuietRun())
    ((prompts, settings),) = model.asked
    assert prompts[0] == data.prompt(data.items("train")[0], 7)
    assert (settings["num_beams"], settings["no_repeat_ngram_size"]) == (3, 3)
    assert evaluation.metrics["denotation"].value == 1 / 3
