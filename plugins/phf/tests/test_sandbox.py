"""Programs in processes of their own: their limits, what they see, what they leave."""

from omnitrain_phf.evaluators.sandbox import Limits, run_program, run_programs


def test_programs_that_hang_fill_memory_or_fail_do_no_harm():
    limits = Limits(3.0, 256 * 2**20)
    assert run_program("assert 1 + 1 == 2", limits) == "passed"
    assert run_program("assert False", limits) == "failed"
    assert run_program("x = ' ' * 10**9", limits) == "failed"
    assert run_program("open('f', 'wb').write(b'0' * 2**22)", limits) == "failed"
    assert run_program("import time; time.sleep(60)", Limits(0.5, 256 * 2**20)) == "timed out"


def test_programs_see_neither_this_folder_nor_the_variables_and_leave_nothing_running(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNITRAIN_SECRET", "x")
    limits = Limits(5.0, 256 * 2**20)
    assert run_program("import os\nassert 'OMNITRAIN_SECRET' not in os.environ and not os.listdir('.')", limits) == "passed"
    mark = tmp_path / "late"
    late = f"import time; time.sleep(1); open({str(mark)!r}, 'w')"
    child = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {late!r}])"
    assert run_program(child, limits) == "passed"
    assert run_program("import time\ntime.sleep(1.2)", limits) == "passed"
    assert not mark.exists()


def test_outcomes_are_in_the_order_of_the_programs():
    sources = ["import time; time.sleep(0.3)", "assert False", "pass"]
    assert run_programs(sources, Limits(5.0, 256 * 2**20), 3) == ["passed", "failed", "passed"]
