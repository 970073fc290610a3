"""Data `eft/preferences`: pairs about facts of the standard library, or of files, as `language/preferences` has them."""

from __future__ import annotations

from omnitrain.api import Context
from omnitrain_eft.configs.data import PreferencesConfig
from omnitrain_eft.data.prompted import AboutFacts
from omnitrain_eft.data.world import Fact, reply_to
from omnitrain_language.data import preferences
from omnitrain_language.preferences.records import PreferenceRecord


class PreferencesData(AboutFacts[PreferenceRecord], preferences.PreferencesData):
    """Pairs about built-in facts, their replies in two styles."""

    address = "eft/preferences"

    def item_about(self, fact: Fact) -> PreferenceRecord:
        """Return the preference about a fact, its replies in the styles that are set."""
        config = self.about
        assert isinstance(config, PreferencesConfig)
        chosen, rejected = (reply_to(fact, style).text for style in (config.chosen, config.rejected))
        return PreferenceRecord(fact.name, chosen, rejected, fact.name)


def build(config: PreferencesConfig, context: Context) -> PreferencesData:
    """Make the data `eft/preferences`."""
    return PreferencesData(config, context.build(config.tokenizer_text), context.workspace)
