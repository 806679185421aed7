import copy
import json
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from tessera.errors import InputError
from tessera.params.data import Data
from tessera.params.load import Params, load_params
from tessera.params.loss import Loss

SHIPPED = Path(__file__).parent.parent / "params.yaml"
DELETE = "delete this key"


def _load(tmp_path: Path, changes: dict[str, object]):
    """The shipped params with some keys, by dotted path, changed or deleted."""
    values = copy.deepcopy(yaml.safe_load(SHIPPED.read_text()))
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section[name]
        if value is DELETE:
            del section[last]
        else:
            section[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return load_params(path)


def test_the_shipped_params_load() -> None:
    params = load_params(SHIPPED)
    assert set(params.train.models) == set(params.models)
    assert params.models["unet_25d"].half_depth == 1


def test_the_schema_says_what_the_shipped_file_does_not() -> None:
    model = load_params(SHIPPED).models["unet_2d"]
    assert (model.keep, model.weight_decay, model.warmup) == ("last", 0.01, 0.1)


def test_a_loss_is_recorded_as_always_and_as_it_was_given() -> None:
    given = load_params(SHIPPED).models["unet_2d"].model_dump()
    assert given["loss"] == {"bce": 1.0, "dice": 1.0}
    assert "auxiliary" not in given
    for loss in ({"bce": 0.5, "dice": {"weight": 1.0, "per_image": True}}, {"fbeta": {"weight": 2.0, "beta": 0.5}}):
        assert Loss(**loss).model_dump() == loss
        assert Loss(**Loss(**loss).model_dump()) == Loss(**loss)
    assert Loss(dice={"per_image": False}).model_dump() == {"dice": 1.0}
    assert Loss(bce=1, dice=None) == Loss(bce=1)


MASKS = {"data.train_rle": DELETE}
TWO = {"data.task": "multilabel", "data.classes": ["a", "b"]}
MANY = [f"m{number}" for number in range(9)]
WRONG = [
    # unknown keys, with the nearest known one
    ({"foldd": 1}, ["foldd", "did you mean 'fold'", "submit"]),
    ({"tile.strides": 3}, ["tile.strides = 3", "did you mean 'stride'", "keep_empty"]),
    ({"models.unet_2d.epoch": 3}, ["models.unet_2d.epoch = 3", "did you mean 'epochs'", "batch"]),
    ({"models.unet_2d.augment.flips": True}, ["models.unet_2d.augment.flips", "did you mean 'flip'"]),
    # missing keys
    ({"score": DELETE}, ["score is missing"]),
    ({"fold.seed": DELETE}, ["fold.seed is missing"]),
    ({"models.unet_25d.lr": DELETE}, ["models.unet_25d.lr is missing"]),
    # types and ranges
    ({"fold.count": "many"}, ["fold.count = 'many'", "integer"]),
    ({"fold.count": 2.5}, ["fold.count = 2.5", "integer"]),
    ({"fold.count": 1}, ["fold.count = 1", "2"]),
    ({"fold": [1]}, ["fold = [1]: must be keys with values, as in {unit: …}; its keys are unit, maker"]),
    ({"submit": None}, ["submit is empty: must be keys with values, as in {dialect: …}"]),
    ({"models.unet_2d.loss": "bce"}, ["unet_2d.loss = 'bce': must be keys with values, as in {bce: …}", "lovasz"]),
    ({"models": ["unet"]}, ["models = ['unet']: must be names with values, as in {name: …}"]),
    ({"tune.steps.min_area": 16}, ["tune.steps.min_area = 16: must be a list, as in [16]"]),
    ({"tile.percentiles": 3}, ["tile.percentiles = 3: must be a list"]),
    ({"clean.drop": None}, ["clean.drop is empty: must be a list"]),
    ({"fold.unit": "patch"}, ["fold.unit = 'patch'", "'image' or 'part'"]),
    ({"score.metric": "auc"}, ["score.metric = 'auc'", "'dice'", "'surface_dice'"]),
    ({"score.beta": 0.5}, ["score", "beta 0.5 belongs to metric fbeta"]),
    ({"score.metric": "fbeta", "score.beta": 0}, ["score.beta = 0", "greater than 0"]),
    ({"score.empty": 1.5}, ["score.empty = 1.5", "1"]),
    ({"score.average": DELETE}, ["score.average is missing", "metric dice needs it"]),
    ({"score.metric": "surface_dice"}, ["score.tolerance is missing", "surface_dice"]),
    ({"score.metric": "iou", "score.tolerance": 1.0}, ["tolerance 1.0 belongs to metric surface_dice", "is iou"]),
    ({"score.metric": "hausdorff"}, ["average pooled belongs to metric dice, iou, fbeta, surface_dice", "is hausdorff"]),
    ({"score.spacing": [1, 1, 2]}, ["spacing (1.0, 1.0, 2.0) belongs to metric surface_dice, hausdorff"]),
    ({"score.thresholds": [0.5]}, ["thresholds (0.5,) belongs to metric object_map, object_fbeta"]),
    (
        {"score.metric": "object_map", "score.average": DELETE, "score.thresholds": [0.3]},
        ["score.thresholds.0 = 0.3", "0.5"],
    ),
    ({"tile.scale": 0}, ["tile.scale = 0", "0"]),
    ({"tile.scale": 1.5}, ["tile.scale = 1.5", "1"]),
    ({"train.amp": "fp8"}, ["train.amp = 'fp8'", "bf16"]),
    ({"train.models": []}, ["train.models", "at least 1"]),
    ({"predict.window": 100}, ["predict.window = 100", "32"]),
    ({"predict.views": ["identity", "rot45"]}, ["predict.views.1 = 'rot45'", "flip_h", "identity@0.8"]),
    ({"predict.views": ["flip_h@1"]}, ["predict.views.0 = 'flip_h@1'", "0.25…4.0 but not 1"]),
    ({"predict.views": ["alternating@0.8"]}, ["predict.views.0 = 'alternating@0.8'", "first eight"]),
    ({"predict.views": ["identity@big"]}, ["predict.views.0 = 'identity@big'"]),
    ({"predict.views": ["identity@0.8", "identity@0.80"]}, ["predict.views", "one thing twice"]),
    ({"predict.weights": "hann"}, ["predict.weights = 'hann'", "centre"]),
    ({"predict.merge": "max"}, ["predict.merge = 'max'", "logits"]),
    ({"predict.store": "mean"}, ["predict.store = 'mean'", "merged"]),
    ({"predict.sizes": [{"side": 64}]}, ["predict.sizes.0.weight is missing"]),
    ({"predict.sizes": [{"weight": 0}]}, ["predict.sizes.0.weight = 0"]),
    ({"predict.sizes": [{"weight": 1, "scale": 2}]}, ["predict.sizes.0.scale", "side"]),
    ({"predict.overlap": 0.8}, ["predict.overlap = 0.8", "0.75"]),
    ({"data.channels": "bgr"}, ["data.channels = 'bgr'", "rgb"]),
    ({"data.classes": ["a", "b"]}, ["data: task binary goes with one class", "['a', 'b']"]),
    ({"tile.min_saturated": 0.1}, ["tile.min_saturated needs data.channels rgb", "grey"]),
    ({"data.task": "multilabel"}, ["data: task binary goes with one class"]),
    ({"models.Unet-2D": {}}, ["models.Unet-2D"]),
    ({"models.unet_2d.lr": -1}, ["models.unet_2d.lr = -1", "0"]),
    ({"models.unet_2d.ema": 1.0}, ["models.unet_2d.ema = 1.0", "less than 1"]),
    ({"models.unet_2d.params_max": 0}, ["models.unet_2d.params_max = 0"]),
    ({"models.unet_2d.weights": {"file": "a.pt", "sha": "0"}}, ["models.unet_2d.weights", "{file: <file>, sha256:"]),
    ({"models.unet_2d.weights": {"file": "a.pt", "sha256": "0"}}, ["models.unet_2d.weights", "64 hexadecimal"]),
    ({"models.unet_2d.weights": {"file": "a.pt", "sha256": int("1" * 64)}}, ["models.unet_2d.weights", "64 hexadecimal"]),
    ({"models.unet_2d.weights": ""}, ["models.unet_2d.weights = ''", "imagenet, null, a file"]),
    ({"models.unet_2d.weights": {"file": " ", "sha256": "0" * 64}}, ["models.unet_2d.weights", "imagenet, null, a file"]),
    ({"fold.seed": -1}, ["fold.seed = -1"]),
    ({"tune.steps.min_area": [-1]}, ["tune.steps.min_area.0 = -1", "greater than 0"]),
    ({"tune.steps.min_area": [8, 8]}, ["tune.steps.min_area", "one thing twice"]),
    ({"tune.steps.min_aera": [8]}, ["tune.steps.min_aera", "did you mean 'min_area'", "fill_holes"]),
    ({"tune.steps": DELETE}, ["tune.steps is missing"]),
    ({"tune.min_area": [8]}, ["tune.min_area = [8] is not a known key"]),
    ({"tune.thresholds": "global"}, ["tune.thresholds = 'global'", "'per_class'"]),
    ({"tune.ensemble": MANY[:7]}, ["tune: step 0.1 over 7 models gives 8008", "give 0.125 or more"]),
    ({"tune.ensemble": MANY[:4], "tune.step": 0.02}, ["gives 23426 combinations", "give 0.04 or more"]),
    ({"tune.ensemble": MANY}, ["tune.ensemble", "at most 8"]),
    ({"tune.cut": "otsu"}, ["tune.cut = 'otsu'", "'hysteresis'"]),
    ({"tune.blend": ["mean"]}, ["tune.blend.0 = 'mean'", "'ranks'"]),
    ({"tune.cut": "treshold"}, ["tune.cut = 'treshold': must be 'threshold'", "did you mean 'threshold'?"]),
    ({"tune.thresholds": "per_domain"}, ["tune.thresholds per_domain needs data.domain: the meta column", "per_class"]),
    ({"data.stratum": DELETE}, ["tune.thresholds per_stratum needs data.stratum: the meta column", "per_class"]),
    ({"submit.dialect": "hubmab"}, ["submit.dialect = 'hubmab'", "'uwmadison' or 'vesuvius'", "did you mean 'hubmap'?"]),
    ({**TWO, "data.class_column": "class", "submit.dialect": "sennet"}, ["submit.dialect sennet writes one mask a row", "a, b", "written by uwmadison"]),
    (
        {"submit.dialect": "uwmadison", "data.sample_submission": DELETE},
        ["submit.dialect uwmadison writes a row a class", "vessel alone", "give vesuvius"],
    ),
    ({"tune.thresholds": "one", "tune.shrink": 3}, ["tune: shrink", "thresholds one has no such levels"]),
    ({"tune.blend": ["ranks"], "tune.ensemble": ["unet_2d"]}, ["tune: blend ranks", "ensemble names one"]),
    ({"tune.steps.min_area_um2": [20]}, ["tune.steps.min_area_um2 needs data.pixel_size"]),
    ({"tune.steps.min_volume": [20], "data.labels": "volume"}, ["tune.steps.min_volume", "masks in depth"]),
    # contradictions, one a validator
    ({"models.unet_2d.encoder": "tu-coatnet_0_rw_224"}, ["predict.window = 256", "unet_2d", "96 px alone"]),
    ({"models.unet_2d.decoder": "PAN"}, ["models.unet_2d", "size must be a multiple of 128, got 96; next is 128"]),
    (
        {"models.unet_2d.decoder": "PAN", "models.unet_2d.size": 128, "predict.sizes": [{"weight": 1}, {"weight": 1, "window": 160}]},
        ["predict.sizes.1.window = 160", "multiples of 128 px"],
    ),
    (
        {"models.unet_2d.decoder": "PAN", "models.unet_2d.size": 128, "predict.window": 160},
        ["predict.window = 160", "PAN", "multiples of 128 px"],
    ),
    ({"models.unet_2d.decoder": "UPerNet", "models.unet_2d.patches": 1}, ["models.unet_2d", "patches 1 are fewer", "give 2 or more"]),
    ({"models.unet_2d.decoder": "UPerNet", "models.unet_2d.batch": 1}, ["models.unet_2d", "batch / accumulate must be at least 2"]),
    ({"data.train_masks": "m/{image_id}.png"}, ["data", "exactly one of train_masks, train_rle and train_polygons"]),
    ({"data.train_rle": DELETE}, ["data", "exactly one of train_masks, train_rle and train_polygons"]),
    ({"data.mask_kind": "colour"}, ["data", "goes with a table of colours"]),
    ({**MASKS, "data.train_masks": "{image_id}_{class}.png"}, ["data", "files of one class each, of task multilabel"]),
    ({**MASKS, **TWO, "data.train_masks": "{image_id}.png"}, ["data", "a grey mask shows one class", "{class}"]),
    (
        {**MASKS, **TWO, "data.train_masks": "{image_id}_{class}.png", "data.mask_kind": "colour", "data.colours": {"#ff0000": "a"}},
        ["data", "files of one class each", "mask_kind colour"],
    ),
    (TWO, ["data", "a row of train_rle is of one class", "['a', 'b']", "give class_column"]),
    ({"data.colours": {"#ff0000": "vessel"}}, ["data", "mask_kind is grey"]),
    ({"data.colours": {"red": "vessel"}}, ["data.colours.red: this key must be a colour in quotes", '"#ff0000"']),
    ({"data.classes": ["Large vessel"]}, ["data.classes.0 = 'Large vessel': becomes a file name", "data.class_names"]),
    ({"data.class_names": {"1": "vesel"}}, ["data", "class_names says '1' is 'vesel'", "vessel, background, ignore"]),
    ({"data.valid_masks": "m/mask.png"}, ["data", "valid_masks must hold {image_id} once"]),
    ({"data.rle_empty": []}, ["data.rle_empty", "at least 1"]),
    ({"data.rle_empty": [-1]}, ["data.rle_empty.0 = -1", "string"]),
    ({"data.ignore": 1}, ["data", "positive and ignore are both 1"]),
    ({"data.train_images": "train/*.tif"}, ["data", "train_images must hold {image_id} once", "train/*.tif"]),
    ({"data.test_images": "{image_id}/{image_id}.tif"}, ["data", "test_images must hold {image_id} once"]),
    ({"data.test_images": "{image_id}/{slide}.tif"}, ["data", "may hold {image_id}, {slice}, {group}, each once", "{slide}"]),
    ({"data.test_images": "{slice}/{image_id}/{slice}.tif"}, ["data", "test_images", "each once"]),
    ({"data.valid_masks": "{group}/{image_id}.png"}, ["data", "valid_masks may hold {image_id}, {slice}", "* for the rest"]),
    ({"data.train_images": "train/**/{image_id}.tif"}, ["data", "train_images: a * stands for a part of one name"]),
    ({"data.train_images": "{group}/{image_id}.tif"}, ["data", "names the group, and so does group: patient"]),
    ({"data.meta": []}, ["data", "group, stratum, domain and pixel_size are columns of `meta`"]),
    ({"data.level": -1}, ["data.level = -1", "0"]),
    ({"tile.stride": 200}, ["tile", "stride 200 > size 128"]),
    ({"tile.scale": DELETE}, ["tile", "exactly one of scale and pixel_size"]),
    ({"tile.pixel_size": 0.5}, ["tile", "exactly one of scale and pixel_size"]),
    ({"tile.scale": DELETE, "tile.pixel_size": 0.5}, ["tile.pixel_size needs data.pixel_size"]),
    ({"tile.scaling": "image"}, ["tile.scaling = 'image'", "'volume'"]),
    ({"tile.percentiles": [99, 1]}, ["tile", "percentiles must rise", "99"]),
    ({"clean": DELETE}, ["clean is missing"]),
    ({"clean.drop": ["a", "a"]}, ["clean.drop", "one thing twice"]),
    ({"clean.weight": {"a": 0}}, ["clean.weight.a = 0", "greater than 0"]),
    ({"clean.drop": ["a", "b"], "clean.weight": {"b": 2}}, ["clean: drop and weight both name b"]),
    ({"fold.maker": "random"}, ["fold.maker = 'random'", "'stratified'"]),
    ({"fold.maker": "strips"}, ["fold", "maker strips makes folds of unit part, unit is image"]),
    ({"fold.maker": "given"}, ["fold", "key given belongs to maker given: give both or neither"]),
    ({"fold.blocks": [2, 2]}, ["fold", "key blocks belongs to maker blocks"]),
    ({"fold.unit": "part", "fold.positive_bins": 3}, ["fold", "positive_bins belongs to maker stratified"]),
    ({"fold.near": 40}, ["fold.near = 40", "12"]),
    ({"fold.run": [0, 3]}, ["fold", "run names fold 3", "0…2"]),
    ({"fold.run": [0, 0]}, ["fold.run", "one thing twice"]),
    ({"predict.views": ["flip_h", "flip_h"]}, ["predict.views", "one thing twice"]),
    ({"models.unet_2d.size": 100}, ["models.unet_2d", "multiple of 32", "next is 128"]),
    ({"models.unet_2d.arguments": {"classes": 2}}, ["models.unet_2d", "arguments.classes is what data.classes decides"]),
    ({"models.unet_2d.arguments.encoder_weights": "imagenet"}, ["arguments.encoder_weights is what weights decides"]),
    ({"models.unet_2d.arguments.checkpoint_path": "a.pt"}, ["arguments.checkpoint_path is what weights decides"]),
    ({"models.unet_2d.arguments.activation": "sigmoid"}, ["arguments.activation is what data.task decides", "leave it out"]),
    ({"models.unet_2d.freeze": 1}, ["models.unet_2d", "freeze 1 keeps pretrained weights", "weights is null"]),
    ({"models.unet_2d.freeze_norms": True}, ["models.unet_2d", "freeze_norms keeps batch statistics", "weights is null"]),
    ({"models.unet_2d.zoom": 0.005}, ["models.unet_2d", "zoom 0.005 leaves nothing to read of size 96: give 0.01 or more"]),
    ({"models.unet_2d.slices": 4}, ["models.unet_2d", "slices must be odd", "4"]),
    ({"models.unet_2d.loss.bce": 0}, ["models.unet_2d.loss.bce.weight = 0", "greater than 0"]),
    ({"models.unet_2d.loss": {}}, ["models.unet_2d.loss", "names no term; there are bce, focal, dice"]),
    ({"models.unet_2d.loss": {"lovas": 1}}, ["models.unet_2d.loss.lovas", "did you mean 'lovasz'", "tversky"]),
    ({"models.unet_2d.loss.dice": {"per_imag": True}}, ["loss.dice.per_imag", "did you mean 'per_image'", "weight"]),
    ({"models.unet_2d.loss": {"bce": {"label_smoothing": 1}}}, ["loss.bce.label_smoothing", "less than 1"]),
    ({"models.unet_2d.loss": {"tversky": {"alpha": 0, "beta": 0}}}, ["loss.tversky: alpha and beta are both 0", "raise one"]),
    ({"models.unet_2d.loss": {"fbeta": 1}}, ["models.unet_2d.loss.fbeta.beta is missing"]),
    ({"models.unet_2d.loss": {"focal": {"gamma": 0.5}}}, ["models.unet_2d.loss.focal.gamma = 0.5", "1"]),
    ({"models.unet_2d.loss": {"dice": "much"}}, ["models.unet_2d.loss.dice.weight = 'much'", "number"]),
    ({"models.unet_2d.auxiliary": {"empties": 1}}, ["models.unet_2d.auxiliary.empties", "did you mean 'empty'"]),
    ({"models.unet_2d.augment": {"saturation": 10}}, ["models.unet_2d", "saturation", "rgb"]),  # the data are grey
    ({"data.channels": "rgb", "models.unet_25d.augment": {"hue": 10}}, ["models.unet_25d", "hue", "slices"]),
    ({"models.unet_2d.augment": "medum"}, ["models.unet_2d.augment = 'medum'", "no list", "light, medium, heavy, stain"]),
    ({"models.unet_2d.augment": ["light", {"nam": "Blur"}]}, ["unet_2d.augment", "{name: <albumentations", "{'nam': 'Blur'}"]),
    ({"models.unet_2d.augment": [{"name": "Blur", "p": 2}]}, ["unet_2d.augment", "Blur: p is a probability", "got 2"]),
    ({"models.unet_2d.augment": [{"name": "OneOf", "transforms": ["dark"]}]}, ["unet_2d.augment", "'dark' is no list"]),
    ({"models.unet_2d.augment": [{"name": "OneOf", "transforms": "light"}]}, ["transforms is a list of entries"]),
    ({"models.unet_2d.augment": [{"name": "OneOf", "transforms": []}]}, ["OneOf: transforms is a list of entries, one at least; got []"]),
    ({"models.unet_2d.augment": [{"name": "OneOf", "transforms": [{"name": "Blur", "p": 0}]}]}, ["OneOf: none of its transforms ever happens"]),
    ({"models.unet_2d.augment": 3}, ["models.unet_2d.augment = 3: must be keys with values, as in {flip: …}"]),
    ({"models.unet_2d.augment": ["light", "stain"]}, ["models.unet_2d.augment: stain need data.channels rgb, which is grey"]),
    ({"models.unet_2d.augment": [{"name": "OneOf", "transforms": [{"name": "ToSepia"}]}]}, ["augment: ToSepia need", "rgb"]),
    ({"data.channels": "rgb", "models.unet_25d.augment": ["stain"]}, ["unet_25d", "augment: stain", "slices must be 1, got 3"]),
    ({"models.unet_25d.augment": [{"name": "CLAHE"}]}, ["unet_25d", "augment: CLAHE", "slices must be 1, got 3"]),
    ({"models.unet_2d.augment": "volume"}, ["unet_2d", "augment: volume change 2.5D stacks", "slices must be above 1"]),
    ({"models.unet_2d.mix": {"mixup": 0.7, "cutmix": 0.5}}, ["models.unet_2d.mix", "sum", "1.2"]),
    ({"models.unet_2d.mix": {"mixap": 0.7}}, ["models.unet_2d.mix.mixap", "did you mean 'mixup'"]),
    ({"models.unet_2d.mix": {"mixup": 0.7}, "models.unet_2d.batch": 1}, ["unet_2d", "mix", "batch must be above 1"]),
    ({"models.unet_2d.positive_share": [0.9, 1.3]}, ["models.unet_2d.positive_share", "1.3", "less than or equal to 1"]),
    ({"models.unet_2d.positive_share": [0.9]}, ["models.unet_2d.positive_share.1 is missing"]),
    ({"models.unet_2d.positive_share": [1, 0.5, 0]}, ["models.unet_2d.positive_share", "must have at most 2 items, not 3"]),
    ({"models.unet_2d.positive_share": "often"}, ["models.unet_2d.positive_share = 'often': must be a valid number"]),
    ({"models.unet_2d.optimiser": "sgd"}, ["unet_2d.optimiser = 'sgd' is not a known key; it is always AdamW: see lr"]),
    ({"models.unet_2d.schedule": "plateau"}, ["unet_2d.schedule = 'plateau': must be 'onecycle', 'cosine' or 'poly'"]),
    ({"models.unet_2d.domain_weights": {"x": 2}}, ["models.unet_2d.domain_weights needs data.domain"]),
    ({"models.unet_2d.balance": "class"}, ["models.unet_2d.balance class needs several classes", "positive_share"]),
    ({"models.unet_2d.balance": "organ"}, ["models.unet_2d.balance = 'organ'", "'group'"]),
    ({"models.unet_2d.balance": "stratum", "data.stratum": DELETE}, ["models.unet_2d.balance stratum needs data.stratum"]),
    ({"models.unet_2d.balance": "group", "data.group": DELETE}, ["models.unet_2d.balance group needs data.group", "{group}"]),
    ({"data.flip_pairs": [["vessel", "vessel"]]}, ["data", "flip_pairs swaps classes of a task multilabel"]),
    ({"data.task": "multilabel", "data.classes": ["l", "r"], "data.flip_pairs": [["l", "x"]]}, ["flip_pairs names 'x'", "l, r"]),
    ({"data.task": "multilabel", "data.classes": ["l", "r"], "data.flip_pairs": [["l", "l"]]}, ["pairs a class twice"]),
    ({"models.unet_2d.depths": [4, 4]}, ["models.unet_2d", "depths must rise", "(4, 4)"]),
    ({"models.unet_2d.depths": [2, 9], "models.unet_2d.centres": [3, 9]}, ["models.unet_2d", "within depths (2, 9)", "9"]),
    ({"models.unet_2d.centres": [3]}, ["models.unet_2d: centres need data.labels volume"]),
    (
        {"models.unet_2d.depths": [2, 9], "models.unet_2d.planes": ["xy", "xz"]},
        ["models.unet_2d", "depths are slices of the plane xy", "give planes: [xy]"],
    ),
    ({"models.unet_2d.planes": ["xz"]}, ["models.unet_2d", "planes must begin with xy", "xz"]),
    ({"models.unet_2d.planes": ["xy", "zy"]}, ["models.unet_2d.planes.1 = 'zy'", "'yz'"]),
    ({"models.unet_2d.planes": ["xy", "xz"], "data.labels": "volume"}, ["unet_2d: planes", "need labels in depth"]),
    ({"models.unet_2d.edge": "wrap"}, ["models.unet_2d.edge = 'wrap'", "'reflect'"]),
    ({"models.unet_2d.zoom": 0}, ["models.unet_2d.zoom = 0", "0"]),
    ({"data.valid_masks": "{image_id}/{slice}.png", "data.labels": "volume"}, ["data", "one label for all depth"]),
    ({"data.labels": "volume", "fold.unit": "part"}, ["z_blocks cuts the depth", "strips or blocks"]),
    ({"tune.step": 0.3}, ["tune", "step must divide 1, got 0.3"]),
    ({"pseudo": {"labels": "hard", "bounds": [0.8, 0.2], "weight": 1}}, ["pseudo", "bounds must rise, got (0.8, 0.2)"]),
    ({"pseudo": {"labels": "firm", "bounds": [0.2, 0.8]}}, ["pseudo.labels = 'firm'", "'soft'", "pseudo.weight is missing"]),
    ({"pseudo": {"label": "hard", "bounds": [0, 1.2], "weight": 0}}, ["did you mean 'labels'", "pseudo.bounds.1", "pseudo.weight = 0"]),
    ({"models.unet_2d.extra": ["Round 1"]}, ["models.unet_2d.extra.0 = 'Round 1'", "a-z0-9_"]),
    ({"models.unet_2d.extra": ["r1", "r1"]}, ["models.unet_2d.extra", "one thing twice"]),
    ({"train.models": ["unet_2d", "unet_3d"]}, ["train.models names 'unet_3d'", "unet_2d, unet_25d"]),
    ({"train.full": ["unet_3d"]}, ["train.full names 'unet_3d'", "unet_2d, unet_25d"]),
    ({"train.full": ["unet_2d"], "models.unet_2d.keep": "best", "models.unet_2d.validate_every": 1}, ["train.full names 'unet_2d'", "keep: last or"]),
    ({"train.full": ["unet_2d"], "models.unet_2d.patience": 2, "models.unet_2d.validate_every": 1}, ["train.full names 'unet_2d'", "no patience"]),
    ({"train.full_use": "never"}, ["train.full_use = 'never'", "'alone'"]),
    ({"train.models": ["unet_2d"]}, ["yaml: tune.ensemble names 'unet_25d'; it must be one of train.models: unet_2d"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), WRONG, ids=lambda value: str(value)[:60])
def test_a_wrong_key_stops_with_its_full_path(tmp_path: Path, changes: dict, said: list[str]) -> None:
    with pytest.raises(InputError) as error:
        _load(tmp_path, changes)
    for piece in said:
        assert piece in str(error.value)


BOOLEANS = {  # key → a boolean there, and where it is found
    **{f"models.unet_2d.{key}": (True, "") for key in ("ema", "warmup", "freeze", "size", "patience", "clip", "zoom")},
    **{f"models.unet_2d.{key}": (False, "") for key in ("weight_decay", "margin", "positive_share", "seed")},
    "models.unet_2d.positive_share": ([0.9, True], ".1"),
    "models.unet_2d.mix": ({"cutmix": True}, ".cutmix"),
    "models.unet_2d.loss": ({"bce": True}, ".bce.weight"),
    "models.unet_2d.loss.dice": ({"weight": True}, ".weight"),
    "models.unet_2d.augment": ({"brightness": True}, ".brightness"),
    "data.ignore": (True, ""),
    "data.rle_base": (True, ""),
    "clean.weight": ({"a": True}, ".a"),
    "fold.run": ([0, True], ".1"),
    "predict.sizes": ([{"weight": True}], ".0.weight"),
    "score.thresholds": ([0.5, True], ".1"),
}


@pytest.mark.parametrize("key", BOOLEANS)
def test_a_boolean_is_no_number(tmp_path: Path, key: str) -> None:
    value, inner = BOOLEANS[key]
    with pytest.raises(InputError) as error:
        _load(tmp_path, {key: value})
    got = "false" if value is False else "true"
    assert f"{tmp_path / 'params.yaml'}: {key}{inner}: a number is expected, got {got}" in error.value.args


def test_a_boolean_is_no_probability_of_a_transform(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Blur: p is a probability in 0…1, got True"):
        _load(tmp_path, {"models.unet_2d.augment": [{"name": "Blur", "p": True}]})


def test_a_boolean_stays_one_where_it_may_stand(tmp_path: Path) -> None:
    free = {"name": "CLAHE", "p": 0.5, "always": [True]}
    changes = {"augment": [free], "allow_noncommercial": False, "arguments": {"decoder_use_norm": False}}
    model = _load(tmp_path, {f"models.unet_2d.{key}": value for key, value in changes.items()}).models["unet_2d"]
    assert {key: getattr(model, key) for key in changes} == changes


def test_no_path_names_the_branch_of_a_union() -> None:
    """pydantic's errors do, unless it stands behind `read_by`."""

    def unions(schema: object) -> int:
        if isinstance(schema, dict):
            own = schema.get("type") == "union"
            return own + sum(unions(inner) for key, inner in schema.items() if key != "serialization")
        return sum(map(unions, schema)) if isinstance(schema, list | tuple) else 0

    assert unions(TypeAdapter(int | list[str]).core_schema) == 1
    assert unions(Params.__pydantic_core_schema__) == 0


def test_all_wrong_keys_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        _load(tmp_path, {"fold.count": 1, "tile.sise": 3, "score.empty": DELETE})
    for key in ("fold.count", "tile.sise", "score.empty"):
        assert key in str(error.value)


def test_all_disagreements_of_sections_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        _load(
            tmp_path, TWO | {"data.class_column": "class", "tile.min_saturated": 0.1, "tune.thresholds": "per_domain"}
        )
    assert [problem.split(":")[0].split("/")[-1] for problem in error.value.args] == ["params.yaml"] * 3


@pytest.mark.parametrize("key", ["zzz", "seed_of_everything"])
def test_nothing_is_suggested_that_is_nowhere_near(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"{key} = 1 is not a known key. Known: sample, data") as error:
        _load(tmp_path, {key: 1})
    assert "did you mean" not in str(error.value)


def test_a_key_that_stands_twice_is_refused_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = SHIPPED.read_text()
    path.write_text(
        text.replace("    lr: 4.0e-3\n", "    lr: 4.0e-3\n    lr: 4.0e-2\n") + "submit: {dialect: sennet}\n"
    )
    with pytest.raises(InputError) as error:
        load_params(path)
    lines = path.read_text().splitlines()
    first, second = lines.index("    lr: 4.0e-3") + 1, len(lines)
    assert error.value.args == (
        f"{path}: line {first + 1}: models.unet_2d.lr stands there a second time, after line {first}; keep one of them",
        f"{path}: line {second}: submit stands there a second time, after line {second - 1}; keep one of them",
    )


def test_a_section_may_be_an_anchor_s_with_other_values(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    chain = "  unet_25d: &deep\n    <<: *unet\n    epochs: 6\n  unet_s1: {<<: *deep, epochs: 7}\n\npredict:"
    text = SHIPPED.read_text()
    head, tail = text[: text.index("  unet_25d:\n")], text[text.index("predict:") :]
    path.write_text(head + tail.replace("predict:", chain, 1))
    assert [model.epochs for model in load_params(path).models.values()] == [4, 6, 7]


@pytest.mark.parametrize("text", ["", "- a\n", "fold: [1\n", "a: b: c\n"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"params\.yaml"):
        load_params(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot be read"):
        load_params(tmp_path / "nowhere.yaml")


def test_numbers_in_scientific_notation_without_a_dot_are_numbers(tmp_path: Path) -> None:
    assert _load(tmp_path, {"models.unet_2d.lr": "1e-3"}).models["unet_2d"].lr == 1e-3  # YAML 1.1 reads 1e-3 as text


def test_younger_keys_leave_the_records_of_older_models_as_they_were(tmp_path: Path) -> None:
    dumped = load_params(SHIPPED).models["unet_2d"].model_dump()
    assert not {"edge", "shift", "depths", "centres", "zoom", "planes", "extra"} & set(dumped)
    assert _load(tmp_path, {"models.unet_2d.shift": 2}).models["unet_2d"].model_dump()["shift"] == 2


def test_a_section_cannot_be_changed_later() -> None:
    params = load_params(SHIPPED)
    with pytest.raises(ValueError, match="frozen"):
        params.fold.count = 7


def test_masks_and_no_meta_are_enough() -> None:
    data = Data(
        source="s",
        task="binary",
        classes=["a"],
        channels="rgb",
        train_images="{image_id}.png",
        train_masks="m_{image_id}.png",
    )
    assert (data.group, data.positive, data.ignore, data.solution) == (None, 1, None, None)


RECORDED = {
    "augment": {"flip": True, "rot90": True, "scale": 0.1, "rotate": 15.0, "brightness": 0.1, "contrast": 0.1,
                "hue": 0.0, "saturation": 0.0},
}  # fmt: skip


def test_records_of_finished_trainings_stay_as_they_were() -> None:
    said = load_params(SHIPPED).models["unet_2d"].model_dump()
    assert said["augment"] == RECORDED["augment"]
    assert said["positive_share"] == 0.7
    assert not {"mix", "balance", "domain_weights"} & said.keys()


@pytest.mark.parametrize(
    ("augment", "said"),
    [("medium", ["medium"]), (["light", {"name": "Blur", "p": 0.1}], ["light", {"name": "Blur", "p": 0.1}])],
)
def test_lists_are_recorded_as_they_are_written(tmp_path: Path, augment: object, said: list) -> None:
    model = _load(tmp_path, {"models.unet_2d.augment": augment}).models["unet_2d"]
    assert model.model_dump()["augment"] == said
    assert type(model)(**model.model_dump()) == model
    assert type(model)(**json.loads(model.model_dump_json())) == model


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("key", "value"),
    [("positive_share", 0.5), ("positive_share", (0.9, 0.3)), ("weights", "imagenet"), ("weights", {"file": "a", "sha256": "0" * 64})],
)  # fmt: skip
def test_keys_of_several_kinds_are_recorded_as_they_are(tmp_path: Path, key: str, value: object) -> None:
    given = list(value) if isinstance(value, tuple) else value
    model = _load(tmp_path, {f"models.unet_2d.{key}": given}).models["unet_2d"]
    assert getattr(model, key) == model.model_dump()[key] == value
    assert type(model)(**json.loads(model.model_dump_json())) == model
