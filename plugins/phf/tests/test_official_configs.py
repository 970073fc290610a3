"""The official configs, read from the recipes."""


def test_configs_are_read_from_the_recipes(monkeypatch):
    from omnitrain_phf.evidence import official_configs as official

    read = official._read

    def changed(task, stage, method):
        recipe = read(task, stage, method)
        official._stage(recipe, "train")["fit"]["learning_rate"] = 1.0
        return recipe

    monkeypatch.setattr(official, "_read", changed)
    assert official.merged_config("pii", "pretrain", "awr")["training"]["learning_rate"] == 1.0
