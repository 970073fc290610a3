"""What settings need beside the plugin is known before the run."""

from omnitrain_w2pgnn.configs.data import GraphsConfig


def test_settings_tell_the_extra_that_they_need():
    rdkit = {"rdkit": "omnitrain-w2pgnn[molecules]"}
    assert GraphsConfig(path="a.smi").needs() == GraphsConfig(path="a.csv", format="smiles").needs() == rdkit
    assert GraphsConfig().needs() == GraphsConfig(path="a.smi", format="edge-list").needs() == {}
