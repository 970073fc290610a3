"""The generated pages of the site leave nothing out. `nox -s docs` builds the site itself and fails on a warning."""

import re

import click
import pytest
from commands import commands_reference
from components import anchor, components_index, plugin_page, plugins_with_components
from links import ROOT, pages, relinked
from marks import plain

from omnitrain.api.descriptors import Component
from omnitrain.cli.group import omnitrain
from omnitrain.plugins import installed
from omnitrain.recipes.describing import settings_of

COMPONENTS = list(installed().components())
REFERENCE = commands_reference()


def section(text: str, title: str) -> str:
    """The part of a page below a heading."""
    found = re.search(rf"^## {re.escape(title)} .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {title}"
    return found[0]


def test_every_command_is_there_with_its_options_and_an_example() -> None:
    with click.Context(omnitrain, info_name="omnitrain") as parent:
        for name in omnitrain.list_commands(parent):
            command = omnitrain.get_command(parent, name)
            assert command is not None
            text = section(REFERENCE, name)
            options = [option for p in command.params if isinstance(p, click.Option) for option in p.opts]
            assert [option for option in options if option not in text] == []
            assert f"```text\nomnitrain {name}" in text
            assert f"```sh\nomnitrain {name}" in text, f"{name} has no example"
            assert f"(#{name})" in REFERENCE


@pytest.mark.parametrize(("address", "component"), COMPONENTS, ids=[f"{c.kind} {a}" for a, c in COMPONENTS])
def test_every_component_is_there_with_all_its_settings(address: str, component: Component) -> None:
    page = plugin_page(address.partition("/")[0])
    text = section(page, f"{address} {{ #{anchor(component)}")
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, re.MULTILINE))
    for setting in settings_of(installed().config_class(component)):
        assert f"`{setting.type}`" in rows[setting.key]
        assert ("required" if setting.default is None else setting.default) in rows[setting.key]
        assert rows[setting.key].endswith(plain(setting.description))
    assert f"[`{address}`](components/{address.partition('/')[0]}.md#{anchor(component)})" in components_index()


def test_every_plugin_with_components_has_a_page_with_its_recipes_and_claims() -> None:
    assert {address.partition("/")[0] for address, _ in COMPONENTS} == set(plugins_with_components())
    for name in plugins_with_components():
        plugin = installed().plugin(name)
        assert [recipe.name for recipe in plugin.recipes if f"`{name}/{recipe.name}`" not in plugin_page(name)] == []
        assert [claim.id for claim in plugin.claims if f"| {claim.id} |" not in plugin_page(name)] == []


def test_pages_of_docs_are_in_the_navigation() -> None:
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in pages().values() if "/" not in page and page not in configuration] == []


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("docs/index.md", "[a](../plugins/ul2/README.md#use)", "[a](packages/ul2.md#use)"),
        ("plugins/ul2/README.md", "[a](../../docs/recipes.md)", "[a](../recipes.md)"),
        ("plugins/ul2/README.md", "[a](../../core/README.md)", "[a](core.md)"),
        ("CONTRIBUTING.md", "[a](docs/writing-a-plugin.md#2-the-description)", "[a](writing-a-plugin.md#2-the-description)"),
        ("CONTRIBUTING.md", "[licence](LICENSE)", "licence"),
        ("docs/recipes.md", "[a](#errors) [b](https://example.org/x.md)", "[a](#errors) [b](https://example.org/x.md)"),
        ("docs/recipes.md", "```sh\n[a](../LICENSE)\n```", "```sh\n[a](../LICENSE)\n```"),
        ("plugins/vpt/README.md", "![a](pictures/b.gif)", "![a](vpt/pictures/b.gif)"),
    ],
)
def test_links_between_files_become_links_between_pages(source: str, link: str, expected: str) -> None:
    assert relinked(link, source) == expected


def test_text_of_a_terminal_is_shown_as_it_stands() -> None:
    assert plain("a_b *c* <d> [e](f) `g_h` | {i}") == r"a\_b \*c\* &lt;d&gt; \[e\](f) `g_h` \| \{i\}"
