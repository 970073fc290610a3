"""A broken plugin is a line in a table; everything else goes on working."""

import json
import subprocess
import sys
from importlib import invalidate_caches

import pytest

from omnitrain.errors import PluginError
from omnitrain.plugins import Registry, discover, discovery, registry
from omnitrain.recipes import load_recipe

HEALTHY = """
from omnitrain.api import Component, Plugin, hookimpl

@hookimpl
def omnitrain_plugin():
    return Plugin(name={name!r}, summary="s", api={api!r}, components={components})
"""


def healthy(name="x", api="1.0", components="()"):
    return HEALTHY.format(name=name, api=api, components=components)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a plugin of one module; entry: the text of its entry_points.txt."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", str(place), prepend=":")

    def install(code, name="x", distribution=None, entry=None, metadata=True):
        module = f"{(distribution or name).replace('-', '_')}_{tmp_path.name.replace('-', '_')}"
        if code is not None:
            (place / f"{module}.py").write_text(code)
        info = place / f"{distribution or f'omnitrain_{name}'}-1.2.dist-info"
        info.mkdir()
        text = f"[omnitrain.plugins]\n{name} = {module}\n" if entry is None else entry
        (info / "entry_points.txt").write_text(text)
        if metadata:
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {distribution or f'omnitrain-{name}'}\nVersion: 1.2\n"
            )
        invalidate_caches()
        registry.installed.cache_clear()
        return place

    yield install
    registry.installed.cache_clear()


def state_of(name):
    found = discover()
    assert {"core", "toy"} <= {s.name for s in found if s.status == "ok"}
    return next(s for s in found if s.name == name)


BROKEN = {
    "raises on import": ("raise RuntimeError('no such\\nluck')", "RuntimeError: no such luck"),
    "exits on import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "raises what is no Exception": ("class E(BaseException): pass\nraise E('odd')", "E: odd"),
    "is not Python": ("def", "SyntaxError"),
    "imports what is missing": ("import not_there_at_all", "No module named 'not_there_at_all'"),
    "module is gone": (None, "No module named"),
    "has no hook": ("x = 1", "no function marked @hookimpl named 'omnitrain_plugin'"),
    "does not mark its hook": (healthy().replace("@hookimpl", ""), "no function marked @hookimpl"),
    "hook has a wrong signature": (healthy().replace("omnitrain_plugin()", "omnitrain_plugin(surprise)"), "surprise"),
    "has an unknown hook": (healthy() + "\n@hookimpl\ndef omnitrain_nonsense(): pass\n", "omnitrain_nonsense"),
    "hook raises": (healthy().replace("return", "raise OSError('disk');"), "OSError: disk"),
    "hook gives something else": (healthy().replace("return Plugin(", "return dict("), "returned dict"),
    "calls itself otherwise": (healthy("y"), "calls itself 'y'"),
    "has a component of no kind": (
        healthy(components="(Component('optimizer', 'a', 's', 'm:C', 'm:b'),)"),
        "components.0.kind is 'optimizer'; expected 'data' or 'model' or ",
    ),
    "has two components of one name": (
        healthy(components="(Component('data', 'a', 's', 'm:C', 'm:b'),) * 2"),
        "describes the data 'a' twice",
    ),
    "has components that are none": (healthy(components="('denoising',)"), "'denoising'"),
    "refers to what lies above its package": (
        healthy(components="(Component('data', 'a', 's', 'm:C', '..data:b'),)"),
        "'omnitrain_x..data:b'; expected 'module:attribute'",
    ),
    "refers to no attribute": (healthy(components="(Component('data', 'a', 's', 'm.C', 'm:b'),)"), "'m.C'"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_plugin_is_listed_with_the_reason_when_it(fault, install):
    code, reason = BROKEN[fault]
    install(code)
    state = state_of("x")
    assert state.status == "broken"
    assert reason in state.reason
    assert "\n" not in state.reason
    assert (state.distribution, state.version, state.plugin) == ("omnitrain-x", "1.2", None)


@pytest.mark.parametrize(
    ("api", "advice"),
    [
        ("2.0", "upgrade omnitrain-core"),
        ("1.9", "upgrade omnitrain-core"),
        ("0.9", "upgrade the plugin"),
        ("one", "MAJOR.MINOR"),
    ],
)
def test_plugin_for_another_interface_is_incompatible(api, advice, install):
    install(healthy(api=api))
    state = state_of("x")
    assert state.status == "incompatible"
    assert advice in state.reason


def test_interface_version_that_is_no_text_is_incompatible(install):
    install(healthy().replace("'1.0'", "1.0"))
    assert state_of("x").status == "incompatible"


@pytest.mark.parametrize(
    "code", ["import time; time.sleep(60)", "while True:\n    pass", "import threading; threading.Event().wait()"]
)
def test_hanging_import_is_ended(code, install, monkeypatch):
    discover()  # so that only the new one is looked at within so short a time
    monkeypatch.setattr(discovery, "IMPORT_TIME_LIMIT_S", 0.2)
    install(code)
    state = state_of("x")
    assert state.status == "broken"
    assert "longer than 0.2 s" in state.reason


def test_output_of_an_import_is_kept_out_of_ours(install, capfd):
    install("import sys\nprint('hello')\nprint('oops', file=sys.stderr)\n" + healthy())
    state = state_of("x")
    assert state.status == "ok"
    assert "hello" in state.printed
    assert capfd.readouterr() == ("", "")


def test_name_that_two_take_is_nobodys_unless_one_is_its_owner(install):
    install(healthy(), distribution="aaa")
    install(healthy(), distribution="bbb")
    states = {s.distribution: s for s in discover() if s.name == "x"}
    assert {s.status for s in states.values()} == {"duplicate"}
    assert all("aaa and bbb both take the name 'x', and neither is omnitrain-x" in s.reason for s in states.values())
    install(healthy(), distribution="omnitrain_x")
    states = {s.distribution: s for s in discover() if s.name == "x"}
    assert {name: s.status for name, s in states.items()} == {"aaa": "duplicate", "bbb": "duplicate", "omnitrain_x": "ok"}
    assert states["aaa"].reason == "the name 'x' belongs to omnitrain_x: uninstall aaa"


def test_name_of_the_core_is_the_cores(install):
    install(healthy("core"), name="core", distribution="aaa-first")
    states = {s.distribution: s for s in discover() if s.name == "core"}
    assert (states["omnitrain-core"].status, states["aaa-first"].status) == ("ok", "duplicate")
    assert [a for a, _ in Registry(discover()).components("stage") if a.startswith("core/")] == ["core/fit", "core/evaluate"]


def test_editing_a_description_counts_at_once(install):
    place = install(healthy())
    assert state_of("x").plugin.summary == "s"
    assert state_of("x").remembered
    module = next(place.glob("*.py"))
    module.write_text(healthy().replace("summary='s'", "summary='another'").replace('summary="s"', "summary='another'"))
    state = state_of("x")
    assert (state.plugin.summary, state.remembered) == ("another", False)


def test_what_a_description_reads_and_lists_counts_too(install):
    code = "import pathlib\nHERE = pathlib.Path(__file__).parent\n" + healthy().replace(
        'summary="s"', "summary=(HERE / 'text').read_text() + str(len(list((HERE / 'many').glob('*'))))"
    )
    place = install(code)
    (place / "many").mkdir()
    (place / "text").write_text("first ")
    assert state_of("x").plugin.summary == "first 0"
    (place / "text").write_text("second ")
    assert state_of("x").plugin.summary == "second 0"
    (place / "many/a").touch()
    assert state_of("x").plugin.summary == "second 1"


def test_what_a_description_writes_does_not_count(install):
    install("with open(__file__ + '.log', 'a') as file: file.write('x')\n" + healthy())
    state_of("x")
    state_of("x")
    assert state_of("x").remembered


def test_plugin_that_lacked_a_module_is_well_once_that_is_installed(install):
    place = install("import brought_later\n" + healthy())
    assert "No module named 'brought_later'" in state_of("x").reason
    (place / "brought_later.py").touch()
    assert state_of("x").status == "ok"


def test_plugin_that_is_remembered_as_broken_is_looked_at_again_when_it_is_asked_for(install, monkeypatch):
    install("import os\nif 'X_IS_WELL' not in os.environ: raise RuntimeError('no luck')\n" + healthy())
    assert state_of("x").status == "broken"
    assert state_of("x").remembered
    monkeypatch.setenv("X_IS_WELL", "1")
    assert Registry(discover()).plugin("x").name == "x"


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "folder", "read-only"])
def test_damaged_memory_is_as_good_as_none(damage, install, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    install(healthy())
    state_of("x")
    (file,) = (tmp_path / "cache/plugins").glob("*.json")
    data = file.read_bytes()
    if damage == "folder":
        file.unlink()
        (file / "x").mkdir(parents=True)
    elif damage == "read-only":
        monkeypatch.setenv("OMNITRAIN_CACHE", "/proc/nowhere")
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        file.write_bytes({"cut": data[:middle], "flip": flipped, "empty": b""}[damage])
    state = state_of("x")
    assert (state.status, state.remembered) == ("ok", False)


def test_description_that_asks_for_the_installed_plugins_is_refused(install):
    install("from omnitrain.plugins import installed\ninstalled()\n" + healthy())
    assert "asks for the installed plugins" in state_of("x").reason


@pytest.mark.parametrize("entry", ["[omnitrain.plugins]\nnonsense\n", "[omnitrain.plugins]\n= \n", "omnitrain.plugins\x00"])
def test_damaged_entry_points_stop_nothing(entry, install):
    install(None, entry=entry)
    assert {"core", "toy"} <= {s.name for s in discover() if s.status == "ok"}


def test_uninstalled_plugin_whose_metadata_is_half_gone_stops_nothing(install):
    install(None, metadata=False)
    assert state_of("x").status == "broken"


def test_plugins_outside_the_allowed_are_not_imported(install, monkeypatch):
    place = install("open(__file__ + '.ran', 'w')\n" + healthy())
    monkeypatch.setenv("OMNITRAIN_PLUGINS", "toy")
    assert state_of("x").status == "disabled"
    assert not list(place.glob("*.ran"))


def test_plugins_are_found_from_a_working_folder_that_was_removed(install, tmp_path, monkeypatch):
    install(healthy())
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert state_of("x").status == "ok"
    assert "x" in registry.installed().plugins


def test_asking_for_a_broken_plugin_tells_the_reason(install):
    install("raise RuntimeError('no luck')")
    found = Registry(discover())
    with pytest.raises(PluginError, match=r"'x' \(omnitrain-x 1\.2\) is broken: RuntimeError: no luck"):
        found.plugin("x")
    with pytest.raises(PluginError, match="no luck"):
        found.component("x/rows", "data")
    assert found.component("toy/rows", "data").name == "rows"


def test_missing_plugin_is_answered_with_near_names():
    with pytest.raises(PluginError, match=r"No plugin named 'tot' .* Did you mean 'toy'\?"):
        Registry(discover()).plugin("tot")


def test_recipe_with_a_component_of_a_broken_plugin_ends_with_the_reason(install, tmp_path):
    install("raise RuntimeError('no luck')")
    path = tmp_path / "r.yaml"
    text = (
        "stages:\n- {name: a, use: core/fit, data: x/rows, model: toy/net, objective: toy/square, fit: {steps: 1}}\n"
        "- {name: b, use: x/stage}\n"
    )
    path.write_text(text)
    with pytest.raises(PluginError, match="no luck") as caught:
        load_recipe(str(path))
    assert f"{path}:2" in str(caught.value)
    assert f"{path}:3" in str(caught.value)


COMPONENTS = "(Component('data', 'rows', 's', {config!r}, {build!r}, needs=('omnitrain-x[extra]',)),)"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("not_there:C", "No module named 'not_there'"),
        ("json:Nothing", "no attribute 'Nothing'"),
        ("json:JSONDecoder", "that is no omnitrain.api.Config"),
        ("json:dumps", "that is no omnitrain.api.Config"),
    ],
)
def test_component_that_can_not_be_loaded_says_why(config, reason, install):
    install(healthy(components=COMPONENTS.format(config=config, build="json:dumps")))
    found = Registry(discover())
    with pytest.raises(PluginError, match=reason):
        found.config_class(found.component("x/rows", "data"))


@pytest.mark.parametrize("code", ["raise RuntimeError('late')", "raise SystemExit('late')"])
def test_component_whose_module_fails_says_why_and_what_it_needs(code, install, tmp_path):
    place = install(healthy(components=COMPONENTS.format(config="json:dumps", build="late_module:build")))
    (place / "late_module.py").write_text(code)
    found = Registry(discover())
    with pytest.raises(PluginError, match=r"late.* It needs omnitrain-x\[extra\]"):
        found.builder(found.component("x/rows", "data"))


def test_strict_mode_raises_for_any_unhealthy_plugin(install, monkeypatch):
    install("raise RuntimeError('no luck')")
    assert registry.installed().plugins
    registry.installed.cache_clear()
    monkeypatch.setenv("OMNITRAIN_STRICT", "1")
    with pytest.raises(PluginError, match="no luck"):
        registry.installed()


def test_strict_mode_raises_for_a_duplicate(install, monkeypatch):
    install(healthy(), distribution="aaa")
    install(healthy(), distribution="bbb")
    monkeypatch.setenv("OMNITRAIN_STRICT", "1")
    with pytest.raises(PluginError, match="duplicate"):
        registry.installed()


def test_list_command_succeeds_beside_a_broken_plugin_and_strict_mode_fails(install, monkeypatch):
    install("import sys; sys.exit('no luck')")
    command = [sys.executable, "-m", "omnitrain", "plugins", "--json"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["x"]["status"] == "broken"
    assert "no luck" in rows["x"]["reason"]
    assert rows["toy"]["status"] == "ok"
    monkeypatch.setenv("OMNITRAIN_STRICT", "1")
    strict = subprocess.run(command, capture_output=True, text=True, check=False)
    assert strict.returncode == 3
    assert "Traceback" not in strict.stderr
