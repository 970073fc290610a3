"""The contract as a test: `test_contract = contract("ul2")` in a test module is all that an author writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omnitrain_testing.declaration import Declaration

ATTRIBUTE = "omnitrain_contract"


def contract(
    plugin: str,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    exceptions: Mapping[str, str] | None = None,
    golden: str | Path | None = None,
) -> Callable[..., None]:
    """Return a test that pytest turns into one test a check, named after it: `test_contract[light import]`.

    plugin: its name. settings: by address, of components that need some and are not in the recipe tiny. exceptions:
    name of a check to the reason why the plugin does not hold to it; it is shown, and the check is expected to fail.
    golden: a folder of golden files in place of the plugin's own. A file contract.yaml in the plugin's package, with
    `settings` and `exceptions`, says the same for the command line.
    """
    declared = Declaration(plugin, settings or {}, exceptions or {}, None if golden is None else Path(golden))

    def test_contract(contract_check: Callable[[], None]) -> None:
        contract_check()

    setattr(test_contract, ATTRIBUTE, declared)
    return test_contract
