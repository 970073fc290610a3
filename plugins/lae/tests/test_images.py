"""Readers on fixtures in the real layouts, transforms, and what users hear about broken images."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from helpers import DATA, image_config
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from omnitrain.api import DrawsExamples, Gathers
from omnitrain.errors import DataError, UsageError
from omnitrain_lae.data.images import build
from omnitrain_lae.data.pictures import archives, arrays, builtin, folders, lists
from omnitrain_lae.data.pictures.transforms import centre_crop, random_crop_box, shifted, train_crop
from omnitrain_lae.models.vision import architecture
from omnitrain_testing.contexts import FakeContext


def write_image(path, value=100, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 10, 200)).save(path)


def cifar_folder(root):
    """Files as CIFAR100's python archive holds them, with the byte keys of Python 2."""
    folder = root / "cifar-100-python"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, count in (("train", 12), ("test", 6)):
        content = {
            b"data": random.integers(0, 256, (count, 3072), np.uint8),
            b"fine_labels": [i % 3 for i in range(count)],
            b"coarse_labels": [0] * count,
            b"filenames": [f"{i}.png".encode() for i in range(count)],
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": [b"apple", b"bear", b"cup"]}, protocol=2))
    return folder


def test_cifar_is_read_from_its_pickles(tmp_path):
    folder = cifar_folder(tmp_path)
    stored = pickle.loads((folder / "train").read_bytes())  # noqa: S301  # written above
    for path in (tmp_path, folder):
        source = archives.cifar100(str(path))
        assert source.class_names == ["apple", "bear", "cup"]
        pixels = source.splits["train"].pixels
        assert pixels.shape == (12, 32, 32, 3)
        assert pixels[3, 5, 7].tolist() == stored[b"data"][3].reshape(3, 32, 32)[:, 5, 7].tolist()


def test_a_pickle_that_names_anything_else_is_refused_without_running_it(tmp_path):
    folder = cifar_folder(tmp_path)

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (folder / "test").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(DataError, match=r"test can't be read as a CIFAR file: .*it names .*open"):
        archives.cifar100(str(folder))
    assert not (tmp_path / "ran").exists()


def test_imagenet_r_is_read_from_list_files_of_either_split(tmp_path):
    for label, name in enumerate(["n01443537", "n01484850"]):
        for i in range(4):
            write_image(tmp_path / name / f"art {i}.jpg", 50 * label + i)
    rows = [f"n0{1443537 + 41313 * (i % 2)}/art {i // 2}.jpg {i % 2}" for i in range(8)]
    (tmp_path / "train_list.txt").write_text("\n".join(rows[:5]) + "\n")
    (tmp_path / "val_list.txt").write_text("\n".join(rows[5:]) + "\n")
    (tmp_path / "other_train.txt").write_text("\n".join(rows[2:]) + "\n")
    source = lists.list_files(str(tmp_path), "train_list.txt", "val_list.txt")
    assert source.class_names == ["n01443537", "n01484850"]
    assert source.splits["train"].labels.tolist() == [0, 1, 0, 1, 0]
    assert source.splits["test"].image(0).size == (12, 10)
    other = lists.list_files(str(tmp_path), "other_train.txt", "val_list.txt")
    assert len(other.splits["train"].labels) == 6


def test_a_bad_line_of_a_list_is_named_with_file_and_line(tmp_path):
    write_image(tmp_path / "a.jpg")
    (tmp_path / "train_list.txt").write_text("a.jpg 0\na.jpg cat\n")
    with pytest.raises(DataError, match=r"train_list.txt:2: expected 'relative/path.jpg LABEL', found 'a.jpg cat'"):
        lists.list_files(str(tmp_path), "train_list.txt", "train_list.txt")
    (tmp_path / "train_list.txt").write_text("../secret.jpg 0\n")
    with pytest.raises(DataError, match=r"train_list.txt:1: '../secret.jpg' leads out of"):
        lists.list_files(str(tmp_path), "train_list.txt", "train_list.txt")
    with pytest.raises(DataError, match=r"nothing.txt is missing"):
        lists.list_files(str(tmp_path), "nothing.txt", "train_list.txt")


@pytest.mark.parametrize("listed", [True, False])
def test_domainnet_mixes_its_domains(tmp_path, listed):
    for domain in ("clipart", "sketch"):
        for label, name in enumerate(["axe", "bus"]):
            for i in range(5):
                write_image(tmp_path / domain / name / f"{domain}_{label}_{i}.jpg")
        if listed:
            rows = [f"{domain}/{n}/{domain}_{k}_{i}.jpg {k}" for k, n in enumerate(["axe", "bus"]) for i in range(5)]
            (tmp_path / f"{domain}_train.txt").write_text("\n".join(r for r in rows if "_4.jpg" not in r))
            (tmp_path / f"{domain}_test.txt").write_text("\n".join(r for r in rows if "_4.jpg" in r))
    source = lists.domainnet(str(tmp_path), [], 0.2)
    assert source.class_names == ["axe", "bus"]
    assert len(source.splits["train"].labels) == 16
    assert sorted(source.splits["test"].labels.tolist()) == [0, 0, 1, 1]
    assert len(lists.domainnet(str(tmp_path), ["sketch"], 0.2).splits["train"].labels) == 8
    with pytest.raises(DataError, match="no folder 'real'"):
        lists.domainnet(str(tmp_path), ["real"], 0.2)


def test_class_folders_have_own_splits_or_are_cut(tmp_path):
    for name in ("cat", "dog"):
        for i in range(10):
            write_image(tmp_path / "one" / name / f"{i}.png")
            write_image(tmp_path / "two" / ("train" if i < 7 else "val") / name / f"{i}.png")
    cut = folders.class_folders(str(tmp_path / "one"), 0.2)
    own = folders.class_folders(str(tmp_path / "two"), 0.2)
    assert [len(cut.splits[s].labels) for s in ("train", "test")] == [16, 4]
    assert [len(own.splits[s].labels) for s in ("train", "test")] == [14, 6]
    assert cut.class_names == own.class_names == ["cat", "dog"]
    write_image(tmp_path / "two" / "val" / "emu" / "0.png")
    with pytest.raises(DataError, match="emu: this class has no folder"):
        folders.class_folders(str(tmp_path / "two"), 0.2)


def omniglot_zip(path, alphabets):
    folder = path.stem
    with zipfile.ZipFile(path, "w") as file:
        for alphabet in alphabets:
            for character in (1, 2):
                for drawer in range(1, 21):
                    ink = np.ones((105, 105), bool)
                    ink[10 * character : 30 * character] = False
                    out = io.BytesIO()
                    Image.fromarray(ink).save(out, "PNG")
                    name = f"{folder}/{alphabet}/character{character:02d}/{character:04d}_{drawer:02d}.png"
                    file.writestr(name, out.getvalue())
                    file.writestr(f"__MACOSX/{folder}/{alphabet}/._{name[-11:]}", b"junk")
    return path


def test_omniglot_is_read_from_its_archives_without_junk_and_doubles(tmp_path):
    omniglot_zip(tmp_path / "images_background_small1.zip", ["Korean", "Greek"])
    omniglot_zip(tmp_path / "images_background_small2.zip", ["Greek", "Tagalog"])
    source = archives.omniglot(str(tmp_path), [], 28)
    assert source.class_names == [f"{a}/character0{c}" for a in ("Greek", "Korean", "Tagalog") for c in (1, 2)]
    assert [len(source.splits[s].labels) for s in ("train", "test")] == [90, 30]
    ink = source.splits["train"].pixels[0]
    assert ink.shape == (28, 28)
    assert ink[5].min() == 255
    assert ink[20].max() == 0
    assert archives.omniglot(str(tmp_path), ["Tagalog"], 28).class_names[0] == "Tagalog/character01"
    with pytest.raises(DataError, match=r"no alphabet 'Latin'; there are Greek, Korean, Tagalog"):
        archives.omniglot(str(tmp_path), ["Latin"], 28)


@pytest.mark.skipif(not DATA.is_dir(), reason="the Omniglot archives are not beside this checkout")
def test_the_omniglot_archives_have_the_documented_counts():
    pretraining = archives.omniglot(str(DATA), ["Korean", "Balinese", "Early_Aramaic"], 28)
    tasks = archives.omniglot(str(DATA), ["Japanese_(katakana)", "Sanskrit", "Tagalog"], 28)
    assert (len(pretraining.class_names), len(tasks.class_names)) == (86, 106)
    assert len(tasks.splits["train"].labels) == 106 * 15
    assert len(archives.omniglot(str(DATA), [], 28).class_names) == 136 + 156 - 26 - 24


def test_a_broken_image_is_named_and_can_be_left_out(tmp_path):
    for name in ("cat", "dog"):
        for i in range(5):
            write_image(tmp_path / name / f"{i}.png")
    (tmp_path / "cat" / "1.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"cat/1.png: the image can't be read.*malformed: skip"):
        build(image_config(layout="folders", path=str(tmp_path), channels=3), None).gather("train", np.arange(8))
    data = build(image_config(layout="folders", path=str(tmp_path), channels=3, malformed="skip"), None)
    assert len(data.gather("train", np.arange(7))["labels"]) == 7
    context = FakeContext(tmp_path)
    data.prepare(tmp_path, context)
    assert "left out 1 of 10 images, the first: " in context.events[0]["note"]


def test_arrays_are_read_without_pickled_objects(tmp_path):
    pixels, labels = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    data = build(image_config(layout="arrays", path=str(tmp_path / "a.npz")), None)
    assert data.gather("test", np.arange(4))["pixel_values"].shape == (4, 1, 8, 8)
    np.savez(tmp_path / "b.npz", x_train=pixels)
    with pytest.raises(DataError, match=r"has no array 'y_train'; it has x_train"):
        arrays.arrays(str(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", x_train=np.array([{}], object), y_train=labels, x_test=pixels, y_test=labels)
    with pytest.raises(DataError, match="without pickled objects"):
        arrays.arrays(str(tmp_path / "c.npz"))


def test_digits_and_glyphs_are_on_every_machine():
    digits, glyphs = builtin.digits(0.2), builtin.glyphs(16, 3, 0.34, 0)
    assert sum(len(p.labels) for p in digits.splits.values()) == 1797
    assert glyphs.splits["train"].pixels.shape == (2 * len(builtin.GLYPHS), 16, 16)
    assert not set("0123456789") & set(builtin.GLYPHS)
    again = builtin.glyphs(16, 3, 0.34, 0)
    assert (again.splits["train"].pixels == glyphs.splits["train"].pixels).all()


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 99))
def test_random_crops_lie_in_the_image(width, height, seed):
    left, upper, right, lower = random_crop_box(width, height, np.random.default_rng(seed))
    assert 0 <= left < right <= width
    assert 0 <= upper < lower <= height


def test_random_crops_have_the_areas_and_ratios_of_the_recipe():
    random = np.random.default_rng(0)
    boxes = np.array([random_crop_box(300, 300, random) for _ in range(2000)], float)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, ratio = width * height / 300**2, width / height
    assert 0.07 < area.min() < 0.1
    assert abs(area.mean() - 0.5) < 0.04
    assert abs(np.log(ratio).mean()) < 0.02
    assert ratio.min() > 0.73
    assert ratio.max() < 1.36


def test_the_test_transform_resizes_the_shorter_side_and_takes_the_centre():
    image = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (100, 1)))
    found = np.asarray(centre_crop(image, 50, 50))
    assert found.shape == (50, 50)
    assert abs(float(found.mean()) - 99.5) < 1.5
    assert train_crop(image, 24, np.random.default_rng(0)).size == (24, 24)


def test_shifting_moves_by_at_most_so_many_pixels():
    pixels = np.zeros((9, 9), np.uint8)
    pixels[4, 4] = 255
    places = {tuple(np.argwhere(shifted(pixels, 2, np.random.default_rng(s)))[0].tolist()) for s in range(60)}
    assert {abs(a - 4) for a, _ in places} == {0, 1, 2}
    assert len(places) > 15


def test_batches_are_scaled_as_asked(tmp_path):
    write_image(tmp_path / "a" / "0.png", 255)
    write_image(tmp_path / "a" / "1.png", 255)
    means = {}
    for name in ("none", "half", "imagenet"):
        config = image_config(layout="folders", path=str(tmp_path), channels=3, normalise=name)
        means[name] = build(config, None).gather("train", np.arange(1))["pixel_values"][0, :, 0, 0].tolist()
    assert means["none"] == pytest.approx([1, 10 / 255, 200 / 255], abs=1e-6)
    assert means["half"] == pytest.approx([1, 20 / 255 - 1, 400 / 255 - 1], abs=1e-6)
    assert means["imagenet"][0] == pytest.approx((1 - 0.485) / 0.229, abs=1e-6)


def test_only_data_without_random_changes_gathers():
    plain, moved = (build(image_config(layout="digits", shift=s), None) for s in (0, 1))
    assert isinstance(plain, Gathers)
    assert not isinstance(plain, DrawsExamples)
    assert isinstance(moved, DrawsExamples)
    assert not isinstance(moved, Gathers)
    assert (moved.example("test", 3, 1)["pixels"] == moved.example("test", 3, 2)["pixels"]).all()


def test_another_domain_changes_the_images_and_the_fingerprint():
    plain = build(image_config(layout="digits"), None)
    other = build(
        image_config(layout="digits", domain={"invert": True, "quarter_turns": 1, "background": 0.5, "noise": 0.1}), None
    )
    turned = build(image_config(layout="digits", domain={"quarter_turns": 1}), None)
    assert plain.fingerprint != other.fingerprint
    first, rotated = (d.gather("train", np.arange(3))["pixel_values"].numpy() for d in (plain, turned))
    assert (np.rot90(first, 1, axes=(2, 3)) == rotated).all()


def test_the_shown_image_is_text():
    data = build(image_config(layout="digits"), None)
    shown = data.explain(data.gather("train", np.arange(2)), 1)
    assert shown["class"][0].text == "1"
    assert "@" in shown["image"][0].text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layout": "cifar100"}, "layout cifar100 needs a path"),
        ({"path": "x"}, "built in and takes no path"),
        ({"transform": "crop", "shift": 2}, "shift goes with transform: resize"),
        ({"layout": "folders", "path": "x", "domain": {"invert": True}}, "images in memory"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        image_config(**given)


def test_a_missing_folder_is_named():
    with pytest.raises(DataError, match="/nowhere: there is no such folder"):
        folders.class_folders("/nowhere", 0.2)
    with pytest.raises(DataError, match="expected the folder cifar-100-python"):
        archives.cifar100("/nowhere")


def test_patches_must_divide_the_image():
    from omnitrain_lae.configs.models import VisionConfig

    with pytest.raises(UsageError, match="patch_size 5 does not divide the image of 16 pixels"):
        architecture(VisionConfig(patch_size=5), {"image_size": 16})


def test_the_class_orders_are_json_lists():
    from importlib.resources import files as package

    stored = json.loads((package("omnitrain_lae.data") / "class_orders.json").read_text())
    assert {len(v["class_order"]) for v in stored.values()} == {100, 200, 345}
