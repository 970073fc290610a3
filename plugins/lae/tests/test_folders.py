"""Image folders, files and arrays as people have them: the right pixels and classes, or a sentence that says what decides."""

import numpy as np
import pytest
from helpers import image_config
from PIL import Image

from omnitrain.api import PlansStage
from omnitrain.errors import DataError
from omnitrain_lae.data.images import build
from omnitrain_lae.stages.continual import continual
from omnitrain_lae.stages.scenario import scenario
from omnitrain_testing.contexts import FakeContext

SIZE = 8


def put(path, value=100, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (SIZE, SIZE), value if mode == "L" else (value, 10, 200)).save(path)


def classes(root, names=("cat", "dog"), count=5):
    for label, name in enumerate(names):
        for i in range(count):
            put(root / name / f"{i}.png", 50 * label + i)


def read(root, **settings):
    settings = {"layout": "folders", "channels": 3, **settings}
    return build(image_config(path=str(root), **settings), None)


def counted(data):
    return {split: np.bincount(data.labels(split), minlength=len(data.source.class_names)).tolist() for split in data.splits()}


def capital(root):
    classes(root / "Train")
    classes(root / "TEST", count=2)


def training_and_testing(root):
    classes(root / "training_set")
    classes(root / "testing", count=2)
    classes(root / "validation", count=1)


def doubled(root):
    classes(root / "seg_train" / "seg_train")
    classes(root / "seg_test" / "seg_test", count=2)


def only_train(root):
    classes(root / "train", count=7)


def unpacked(root):
    classes(root / "pets", count=7)
    put(root / "__MACOSX" / "pets" / "cat" / "._0.png")


def hidden(root):
    classes(root, count=7)
    for place in (root, root / "cat"):
        put(place / ".ipynb_checkpoints" / "0-checkpoint.png")
        put(place / "@eaDir" / "0.png")
    (root / "cat" / "._0.png").write_bytes(b"\x00\x05\x16\x07")
    (root / "cat" / "Thumbs.db").write_bytes(b"x")


def one_common_folder(root):
    for name in ("cat", "dog"):
        classes(root / name, ["images"], 7)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (capital, "Train is taken as train, TEST as test"),
        (training_and_testing, "validation: not used, since testing is the test"),
        (doubled, "the only folder in it, seg_train, is taken as the root"),
        (only_train, "there is no folder for the test, so that a share of 0.2 of each class is cut off"),
        (unpacked, "the only folder in it, pets, is taken as the root"),
        (hidden, ""),
        (one_common_folder, "images in its folders (images) belong to the class, as in 2 of 2"),
    ],
)
def test_the_same_classes_come_from_each_kind_of_folder(tmp_path, make, said):
    make(tmp_path)
    data, context = read(tmp_path), FakeContext(tmp_path)
    data.prepare(tmp_path, context)
    assert data.facts()["class_names"] == ["cat", "dog"]
    assert [sum(n) for n in counted(data).values()] in ([10, 4], [12, 2])
    notes = " ".join(event["note"] for event in context.events)
    assert said in notes
    assert bool(said) == bool(notes)


def beside(root):
    classes(root / "train")
    classes(root / "test")
    classes(root, ["extra"])


def flat(root):
    classes(root, ["train", "test"])


def two_trains(root):
    classes(root / "train")
    classes(root / "Training")


def no_train(root):
    classes(root / "test")


def deep(root):
    classes(root / "indoor", ["cat"])
    classes(root / "outdoor", ["dog"])


def empty_class(root):
    classes(root)
    (root / "emu").mkdir()


def emptied_class(root):
    classes(root)
    (root / "emu").mkdir()
    (root / "emu" / "0.png").write_bytes(b"no image")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (beside, "test, train hold class folders, and extra beside them images; .*split_folders: false"),
        (flat, "test and train hold images and no class folders.*layout: lists, or set split_folders: false"),
        (two_trains, "expected one folder train, found Training and train; set split_folders: false"),
        (no_train, "expected one folder train, found test and none to learn from"),
        (deep, "its folders hold no images but folders, such as indoor/cat; .*deep_classes: true"),
        (empty_class, "no image to learn from of emu; add some, or take the folder away"),
        (emptied_class, "no image to learn from of emu"),
    ],
)
def test_what_could_be_splits_or_classes_is_refused_with_the_choice(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        _ = read(tmp_path, malformed="skip").source


def test_the_choice_decides(tmp_path):
    flat(tmp_path / "flat")
    assert read(tmp_path / "flat", split_folders=False).source.class_names == ["test", "train"]
    deep(tmp_path / "deep")
    assert read(tmp_path / "deep", deep_classes=True).source.class_names == ["indoor", "outdoor"]


def test_a_class_by_the_name_of_a_split_is_a_class_where_it_holds_images(tmp_path):
    classes(tmp_path, ["bus", "car", "train"])
    data = read(tmp_path)
    assert data.source.class_names == ["bus", "car", "train"]
    assert "the folder train is taken as a class" in data.notes[0]


def test_broken_images_are_left_out_before_the_test_is_cut_off(tmp_path):
    classes(tmp_path, count=5)
    whole = (tmp_path / "cat" / "0.png").read_bytes()
    for name, content in (("x.png", whole[:45]), ("y.png", b""), ("z.png", b"<html>404</html>")):
        (tmp_path / "cat" / name).write_bytes(content)
    data = read(tmp_path, malformed="skip")
    assert counted(data) == {"train": [4, 4], "test": [1, 1]}
    assert "left out 3 of 13 images" in data.notes[0]
    with pytest.raises(DataError, match=r"[xyz]\.png: the image can't be read as an image: .*malformed: skip"):
        read(tmp_path).gather("test", np.arange(2))


def test_a_classs_only_image_is_learned_from(tmp_path):
    classes(tmp_path)
    put(tmp_path / "emu" / "0.png")
    data = read(tmp_path)
    assert counted(data) == {"train": [4, 4, 1], "test": [1, 1, 0]}
    assert "no image to be measured on of 1 of 3 classes: emu" in data.notes[0]
    assert counted(read(tmp_path, test_fraction=0.95))["train"] == [1, 1, 1]


def test_what_lies_in_no_class_and_what_is_no_image_is_said(tmp_path):
    classes(tmp_path)
    put(tmp_path / "loose.png")
    (tmp_path / "cat" / "a.heic").write_bytes(b"x")
    data = read(tmp_path)
    _ = data.source
    notes = " ".join(data.notes)
    assert "1 images lie in no class folder and are left out, such as loose.png" in notes
    assert "files that are no images by their names are left out: 1 .heic" in notes


def shown(tmp_path, image, name="0.png", **settings):
    """Return the pixels [3, 8, 8] in [0, 1] that a model sees of an image, and what is said."""
    saved = settings.pop("saved", {})
    for label in ("a", "b"):
        (tmp_path / label).mkdir(exist_ok=True)
        for i in range(2):
            image.save(tmp_path / label / f"{i}{name[1:]}", **saved)
    data = read(tmp_path, transform="resize", size=SIZE, **settings)
    return data.gather("train", np.arange(1))["pixel_values"][0].numpy(), " ".join(data.notes)


@pytest.mark.parametrize("name", ["0.png", "0.tif"])
def test_16_bits_go_from_black_to_white(tmp_path, name):
    values = np.full((SIZE, SIZE), 65535, np.uint16)
    values[:4] = 32768
    pixels, said = shown(tmp_path, Image.fromarray(values), name)
    assert pixels[:, 0, 0] == pytest.approx([128 / 255] * 3)
    assert pixels[:, 7, 7] == pytest.approx([1] * 3)
    assert "4 of 4 images looked at have 16 bits" in said
    assert shown(tmp_path, Image.fromarray(values // 16), name, value_range=[0, 4095])[0][0, 0, 0] == pytest.approx(128 / 255)


@pytest.mark.parametrize("values", [np.full((SIZE, SIZE), 0.25, np.float32), np.full((SIZE, SIZE), 64, np.int32)])
def test_32_bits_need_their_range(tmp_path, values):
    image = Image.fromarray(values)
    with pytest.raises(DataError, match=r"0\.tif: its values are .* \(mode [IF]\); set value_range: \[black, white\]"):
        shown(tmp_path, image, "0.tif")
    high = 1.0 if values.dtype == np.float32 else 256.0
    assert shown(tmp_path, image, "0.tif", value_range=[0.0, high])[0][0, 0, 0] == pytest.approx(64 / 255, abs=1e-3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_on_white_unless_asked_otherwise(tmp_path, mode):
    icon = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
    icon.paste((0, 0, 0, 255), (0, 0, SIZE, 4))
    icon = icon.convert(mode)
    white, said = shown(tmp_path, icon)
    assert (white[0, 0, 0], white[0, 7, 0]) == (0, 1)
    assert "can be transparent; behind it is white (transparency)" in said
    assert shown(tmp_path, icon, transparency="black")[0].max() == 0
    with pytest.raises(DataError, match=r"0\.png: it has transparent parts; set transparency: white or black"):
        shown(tmp_path, icon, transparency="refuse")
    opaque = Image.new("RGBA", (SIZE, SIZE), (0, 0, 255, 255))
    assert shown(tmp_path, opaque, transparency="refuse")[0][2].min() == 1


def test_photos_are_turned_upright(tmp_path):
    values = np.zeros((SIZE, SIZE, 3), np.uint8)
    values[4:] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    pixels, said = shown(tmp_path, Image.fromarray(values), "0.jpg", saved={"exif": exif, "quality": 100})
    assert pixels[0, 0, 0] > 0.9
    assert "are turned upright, as their EXIF data say" in said


@pytest.mark.parametrize(
    ("mode", "name"), [("CMYK", "0.jpg"), ("1", "0.png"), ("P", "0.gif"), ("LAB", "0.tif"), ("L", "0.pgm")]
)
def test_other_modes_of_8_bits_are_converted(tmp_path, mode, name):
    source = Image.new("RGB", (SIZE, SIZE), (255, 255, 255))
    image = source.convert("L").convert("P") if mode == "P" else source.convert(mode)
    pixels, said = shown(tmp_path, image, name)
    assert pixels.min() > 0.97
    assert said == ""


PIXELS = np.stack([np.full((SIZE, SIZE, 3), 10 * i, np.uint8) for i in range(6)])
LABELS = np.arange(6) % 2


def stored(tmp_path, x, y, **settings):
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return read(tmp_path / "a.npz", layout="arrays", transform="resize", size=SIZE, **settings)


ALPHA = np.concatenate([PIXELS, np.full((6, SIZE, SIZE, 1), 255, np.uint8)], -1)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (PIXELS, ""),
        (PIXELS[..., :1], ""),
        (PIXELS[..., 0], ""),
        (PIXELS.transpose(0, 3, 1, 2), "[images, channels, height, width]"),
        (PIXELS[..., :1].transpose(0, 3, 1, 2), "[images, channels, height, width]"),
        (ALPHA, ""),
        (PIXELS.astype(np.uint16) * 257, "0 becomes black and 65535 white"),
        (PIXELS / 255, "0 becomes black and 1 white"),
        (PIXELS.astype(np.float32), "0 becomes black and 255 white"),
        (PIXELS.astype(np.int64), "0 becomes black and 255 white"),
    ],
)
def test_the_same_images_come_from_each_kind_of_array(tmp_path, x, said):
    data = stored(tmp_path, x, LABELS)
    found = data.gather("train", np.arange(6))["pixel_values"].numpy()
    np.testing.assert_allclose(found[:, :, 0, 0] * 255, np.repeat(np.arange(6) * 10, 3).reshape(6, 3), atol=1e-4)
    notes = " ".join(data.notes)
    assert said in notes
    assert bool(said) == bool(notes)


@pytest.mark.parametrize(
    ("y", "names", "wanted"),
    [
        (LABELS.astype(np.float64), ["0", "1"], LABELS),
        (LABELS.reshape(-1, 1).astype(np.uint8), ["0", "1"], LABELS),
        (np.eye(2)[LABELS], ["0", "1"], LABELS),
        (np.array(["dog", "cat"])[LABELS], ["cat", "dog"], 1 - LABELS),
        (LABELS.astype(bool), ["0", "1"], LABELS),
    ],
)
def test_the_same_classes_come_from_each_kind_of_labels(tmp_path, y, names, wanted):
    data = stored(tmp_path, PIXELS, y)
    assert data.source.class_names == names
    assert data.labels("train").tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (PIXELS, LABELS + 0.7, r"a\.npz: label 0\.7 of y_train\[0\] is no class; expected whole numbers from 0"),
        (PIXELS, LABELS - 1, r"a\.npz: label -1 of y_train\[0\] is no class"),
        (PIXELS, np.where(LABELS, np.nan, 0), r"a\.npz: label nan of y_train\[1\] is no class"),
        (PIXELS, LABELS + 2**40, "is no class"),
        (PIXELS, LABELS[:3], r"x_train has 6 images, y_train 3 labels"),
        (PIXELS, np.ones((6, 2)), r"y_train is \[6, 2\]; expected one label an image"),
        (PIXELS.reshape(6, -1), LABELS, r"x_train is uint8\[6, 192\]; expected \[images, height, width\]"),
        (PIXELS[..., :2], LABELS, "no dimension is 1, 3 or 4 channels"),
        (PIXELS[:, :3], LABELS, "its second and its last dimension could be channels"),
        (PIXELS.astype(np.float32) * 10.5, LABELS, r"float32 from 0 to 525; .*set value_range: \[black, white\]"),
        (np.where(PIXELS > 0, np.nan, 0.0), LABELS, "x_train holds NaN"),
        (PIXELS[:0], LABELS[:0], "x_train has no images"),
        (np.array([["a"]]), LABELS, "expected"),
        (PIXELS.astype(np.complex64), LABELS, "x_train is of type complex64"),
    ],
)
def test_what_is_no_image_and_no_class_is_refused(tmp_path, x, y, message):
    with pytest.raises(DataError, match=message):
        _ = stored(tmp_path, x, y).source


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', ", b"plain text"])
def test_damaged_archives_are_named(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz can't be read as \.npz without pickled objects"):
        _ = read(tmp_path / "a.npz", layout="arrays").source
    np.save(tmp_path / "one.npy", PIXELS)
    with pytest.raises(DataError, match="holds one array"):
        _ = read(tmp_path / "one.npy", layout="arrays").source


def listed(tmp_path, train, test="cat/4.png 0\ndog/4.png 1\n", encoding="utf-8", **settings):
    classes(tmp_path)
    (tmp_path / "train_list.txt").write_bytes(train.encode(encoding))
    (tmp_path / "val_list.txt").write_text(test)
    data = read(tmp_path, layout="lists", **settings)
    _ = data.source
    return data


@pytest.mark.parametrize(
    ("train", "encoding"),
    [
        ("cat/0.png 0\ndog/0.png 1\n", "utf-8-sig"),
        ("cat/0.png\t0\r\ndog/0.png\t1\r\n", "utf-8"),
        ("path,label\ncat/0.png,0\ndog/0.png,1\n", "utf-8"),
        ('"cat/0.png";0\n"dog/0.png";1\n', "utf-16"),
    ],
)
def test_the_same_images_come_from_each_kind_of_list(tmp_path, train, encoding):
    data = listed(tmp_path, train, encoding=encoding)
    assert counted(data) == {"train": [1, 1], "test": [1, 1]}
    assert data.source.class_names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("cat/9.png 0\n", r"train_list\.txt:1: 'cat/9\.png' is not there.*malformed: skip"),
        ("cat/0.png -1\n", r"train_list\.txt:1: expected 'relative/path\.jpg LABEL'"),
        ("cat/0.png 99999999\n", r"train_list\.txt:1: expected"),
        ("cat/0.png 0\ncat/0.png 1\n", "listed with the labels 0 and 1"),
        ("cat\x00/0.png 0\n", r"train_list\.txt:1: .*no path"),
        ("", "lists no images"),
    ],
)
def test_lines_of_a_list_that_name_no_image_are_named(tmp_path, train, message):
    with pytest.raises(DataError, match=message):
        listed(tmp_path, train)


def test_a_list_in_another_encoding_is_named_with_its_line(tmp_path):
    with pytest.raises(DataError, match=r"train_list\.txt:2: the byte 0xe9 is not UTF-8; save the file as UTF-8"):
        listed(tmp_path, "cat/0.png 0\nclassé/0.png 1\n", encoding="latin-1")


def test_what_lists_leave_open_is_said(tmp_path):
    train = "cat/0.png 1\ncat/0.png 1\ncat/4.png 1\ncat/9.png 1\n"
    notes = " ".join(listed(tmp_path, train, "cat/4.png 1\n", malformed="skip").notes)
    assert "left out 1 images that are not there" in notes
    assert "1 images are listed twice or more" in notes
    assert "1 of 1 images are in the list for training too" in notes
    assert "no image to learn from of 1 of 2 classes: class 0" in notes


def test_a_dry_run_of_continual_learning_reads_its_images():
    assert isinstance(continual, PlansStage)
    assert isinstance(scenario, PlansStage)
