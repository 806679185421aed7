import math

import pytest
import torch
from segmentation_models_pytorch import losses as smp
from torch.nn import functional

from tessera.learn.losses.build import LOSSES, Loss, build_loss
from tessera.params.loss import Loss as Section

# A 2×2 image: probabilities, and the truth beneath them.
PROBABILITIES = torch.tensor([[0.5, 0.8], [0.2, 0.9]]).view(1, 1, 2, 2)
LOGITS = torch.log(PROBABILITIES / (1 - PROBABILITIES))
TARGET = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 1, 2, 2)
VALID = torch.ones_like(TARGET)
THREE = torch.tensor([[1.0, 1.0], [1.0, 0.0]]).view(1, 1, 2, 2)  # the last pixel is ignored
TERMS = {name: {} for name in LOSSES} | {"fbeta": {"beta": 0.5}}  # with no more options than they need
REGIONS = ["dice", "jaccard", "tversky", "fbeta", "mcc", "lovasz", "boundary"]

# Cross-entropy of each pixel with the labels 0.9 and 0.1, which is label smoothing by 0.2.
SURE, WRONG = -0.9 * math.log(0.8) - 0.1 * math.log(0.2), -0.1 * math.log(0.9) - 0.9 * math.log(0.1)
SMOOTHED = [-math.log(0.5), SURE, SURE, WRONG]
# Over all pixels: 1.3 true positives, 1.1 false positives, 0.7 false negatives, 0.9 true negatives; without the last
# pixel 1.3, 0.2, 0.7 and 0.8. A pixel, 1, smooths each ratio. Edges of prediction and truth, pixel by pixel:
# 0.3 0.6 0 0.7 and 1 1 0 0 (each outside share below the largest one, 0.8 and 1); the same without the last pixel.
BY_HAND = [
    ("bce", {}, -math.log(0.5 * 0.8 * 0.8 * 0.1) / 4, -math.log(0.5 * 0.8 * 0.8) / 3),
    ("bce", {"positive_weight": 3}, -math.log(0.5**3 * 0.8**3 * 0.8 * 0.1) / 4, -math.log(0.5**3 * 0.8**3 * 0.8) / 3),
    ("bce", {"label_smoothing": 0.2}, sum(SMOOTHED) / 4, sum(SMOOTHED[:3]) / 3),
    (
        "focal", {},
        -(0.25 * math.log(0.5) + 0.04 * math.log(0.8) + 0.04 * math.log(0.8) + 0.81 * math.log(0.1)) / 4,
        -(0.25 * math.log(0.5) + 0.04 * math.log(0.8) + 0.04 * math.log(0.8)) / 3,
    ),
    (
        "focal", {"gamma": 1, "alpha": 0.25},
        -(0.25 * 0.5 * math.log(0.5) + 0.25 * 0.2 * math.log(0.8) + 0.75 * (0.2 * math.log(0.8) + 0.9 * math.log(0.1))) / 4,
        -(0.25 * 0.5 * math.log(0.5) + 0.25 * 0.2 * math.log(0.8) + 0.75 * 0.2 * math.log(0.8)) / 3,
    ),
    (
        "focal", {"label_smoothing": 0.2},
        sum((1 - math.exp(-entropy)) ** 2 * entropy for entropy in SMOOTHED) / 4,
        sum((1 - math.exp(-entropy)) ** 2 * entropy for entropy in SMOOTHED[:3]) / 3,
    ),
    ("dice", {}, 1 - (2 * 1.3 + 1) / (2.4 + 2 + 1), 1 - (2 * 1.3 + 1) / (1.5 + 2 + 1)),
    ("jaccard", {}, 1 - (1.3 + 1) / (1.3 + 1.1 + 0.7 + 1), 1 - (1.3 + 1) / (1.3 + 0.2 + 0.7 + 1)),
    ("tversky", {}, 1 - 2.3 / (2.3 + 0.3 * 1.1 + 0.7 * 0.7), 1 - 2.3 / (2.3 + 0.3 * 0.2 + 0.7 * 0.7)),
    ("tversky", {"alpha": 2, "beta": 0}, 1 - 2.3 / (2.3 + 2 * 1.1), 1 - 2.3 / (2.3 + 2 * 0.2)),
    ("fbeta", {"beta": 0.5}, 1 - 2.3 / (2.3 + 0.8 * 1.1 + 0.2 * 0.7), 1 - 2.3 / (2.3 + 0.8 * 0.2 + 0.2 * 0.7)),
    ("fbeta", {"beta": 2}, 1 - 2.3 / (2.3 + 0.2 * 1.1 + 0.8 * 0.7), 1 - 2.3 / (2.3 + 0.2 * 0.2 + 0.8 * 0.7)),
    (
        "mcc", {},
        1 - (2.3 * 1.9 - 2.1 * 1.7) / math.sqrt((2.3 + 2.1) * (2.3 + 1.7) * (1.9 + 2.1) * (1.9 + 1.7)),
        1 - (2.3 * 1.8 - 1.2 * 1.7) / math.sqrt((2.3 + 1.2) * (2.3 + 1.7) * (1.8 + 1.2) * (1.8 + 1.7)),
    ),
    # errors, largest first: 1 + ln 9 (false), 1 (true), then below 0; Jaccard falls by 1/3 each, or first by 1/2
    ("lovasz", {}, (1 + math.log(9)) / 3 + 1 / 3, 1 / 2),
    ("boundary", {}, 1 - 2 * 0.8 / 1.8, 1 - 2 * (2.2 / 3) / (1 + 2.2 / 3)),  # precision 1, recall (2·0.7 + 1) / 3
    (
        "boundary", {"tolerance": 0},
        1 - 2 * (1.9 / 2.6) * (1.9 / 3) / (1.9 / 2.6 + 1.9 / 3), 1 - 2 * 1 * (1.9 / 3) / (1 + 1.9 / 3),
    ),
]  # fmt: skip


def build(name: str, **options: object) -> Loss:
    return build_loss(Section(**{name: TERMS[name] | options}))


def test_every_loss_has_its_value_by_hand_and_its_options() -> None:
    assert set(LOSSES) == set(Section.model_fields), (
        "LOSSES in tessera/learn/losses/build.py, Loss in tessera/params/loss.py"
    )
    assert {name for name, *_ in BY_HAND} == set(LOSSES)
    tried = {(name, option) for name, options, *_ in BY_HAND for option in options}
    known = {(name, option) for name in LOSSES for option in Section(**{name: TERMS[name]}).terms[name].options}
    assert known - tried == {(name, "per_image") for name in REGIONS}  # tried below


@pytest.mark.parametrize(("name", "options", "every", "three"), BY_HAND)
def test_a_loss_equals_its_value_by_hand(name: str, options: dict, every: float, three: float) -> None:
    for valid, expected in ((VALID, every), (THREE, three)):
        assert build(name, **options)(LOGITS, TARGET, valid).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "options", "every", "three"), [case for case in BY_HAND if case[0] in REGIONS])
def test_a_region_term_is_the_mean_over_classes_and_if_asked_over_images(
    name: str, options: dict, every: float, three: float
) -> None:
    mean = pytest.approx((every + three) / 2, rel=1e-5)
    classes = LOGITS.repeat(1, 2, 1, 1), TARGET.repeat(1, 2, 1, 1), torch.cat([VALID, THREE], 1)
    assert build(name, **options)(*classes).item() == mean
    images = LOGITS.repeat(2, 1, 1, 1), TARGET.repeat(2, 1, 1, 1), torch.cat([VALID, THREE])
    assert build(name, per_image=True, **options)(*images).item() == mean
    assert build(name, **options)(*images).item() != mean


@pytest.mark.parametrize("name", LOSSES)
def test_pooled_over_the_batch_images_count_as_if_they_lay_in_one(name: str) -> None:
    logits, target, valid = example()
    apart = torch.zeros(1, 3, 9, 4)  # ignored pixels between them
    beside = (torch.cat([plane[:1], apart, plane[1:]], 3) for plane in (logits, target, valid))
    torch.testing.assert_close(build(name)(logits, target, valid), build(name)(*beside))


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    values = {name: build(name)(LOGITS, TARGET, VALID).item() for name in LOSSES}
    every = build_loss(Section(**{name: TERMS[name] | {"weight": 0.5 + i} for i, name in enumerate(LOSSES)}))
    expected = sum((0.5 + i) * values[name] for i, name in enumerate(LOSSES))
    assert every(LOGITS, TARGET, VALID).item() == pytest.approx(expected, rel=1e-5)


def example(soft: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, target and valid of two images and three classes, (2, 3, 9, 7)."""
    torch.manual_seed(0)
    target, valid = torch.rand(2, 3, 9, 7), (torch.rand(2, 3, 9, 7) < 0.5).float()
    return torch.randn(2, 3, 9, 7), target if soft else target.round(), valid


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_change_neither_value_nor_gradient(name: str, soft: bool, per_image: bool) -> None:
    options = {"per_image": True} if per_image and name in REGIONS else {}
    logits, target, valid = example(soft)
    values, gradients = [], []
    for shown, truth in ((logits, target), (torch.randn_like(logits) * 9, torch.rand_like(target))):
        mixed = torch.where(valid > 0, logits, shown).requires_grad_()
        value = build(name, **options)(mixed, torch.where(valid > 0, target, truth), valid)
        value.backward()
        values.append(value.item())
        gradients.append(mixed.grad)
    assert values[0] == values[1]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)
    assert (gradients[0][valid == 0] == 0).all()
    assert (gradients[0][valid > 0] != 0).any()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("target", [torch.zeros_like(TARGET), torch.ones_like(TARGET)], ids=["empty", "full"])
def test_a_truth_all_of_one_class_gives_a_finite_loss_and_gradient(name: str, target: torch.Tensor) -> None:
    for logits in (LOGITS.clone(), torch.full_like(LOGITS, 200.0), torch.full_like(LOGITS, -200.0)):
        value = build(name)(logits.requires_grad_(), target, VALID)
        value.backward()
        assert 0 <= value.item() < math.inf
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("options", [{}, {"per_image": True}])
@pytest.mark.parametrize("name", LOSSES)
def test_no_valid_pixel_gives_no_loss_and_no_gradient(name: str, options: dict) -> None:
    logits = LOGITS.clone().requires_grad_()
    value = build(name, **options if name in REGIONS else {})(logits, TARGET, torch.zeros_like(VALID))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky", "fbeta", "mcc"])
def test_what_is_found_in_an_empty_truth_is_pushed_down(name: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    build(name)(logits, torch.zeros_like(TARGET), VALID).backward()
    assert (logits.grad > 0).all()


def test_of_what_is_found_in_an_empty_truth_lovasz_pushes_down_what_is_surest() -> None:
    logits = LOGITS.clone().requires_grad_()
    build("lovasz")(logits, torch.zeros_like(TARGET), VALID).backward()
    assert torch.equal(logits.grad, (logits == logits.max()).float())


@pytest.mark.parametrize("name", REGIONS)
def test_all_found_in_an_empty_truth_costs_something_but_at_the_boundary(name: str) -> None:
    empty = torch.zeros(1, 1, 9, 9)
    everything, nothing = (build(name)(torch.full_like(empty, logit), empty, empty + 1) for logit in (9, -9))
    if name == "boundary":  # where no edge is, none is wrong
        assert everything == nothing == 0
    else:
        assert everything > nothing + 0.4


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"lovasz"}))
def test_soft_labels_are_met_best_by_their_own_probabilities(name: str) -> None:
    _, target, valid = example(soft=True)
    best = build(name)(target.logit(), target, valid)
    for share in (0.1, 0.3, 1.0):  # of the way to one half, to the nearer of 0 and 1, and to chance
        for other in (torch.full_like(target, 0.5), target.round(), torch.rand_like(target)):
            shown = torch.lerp(target, other, share).clamp(1e-6, 1 - 1e-6)
            assert build(name)(shown.logit(), target, valid) > best


def test_lovasz_cuts_soft_labels_at_one_half() -> None:
    logits, target, valid = example(soft=True)
    assert build("lovasz")(logits, target, valid) == build("lovasz")(logits, (target >= 0.5).float(), valid)


SMP = {
    "dice": smp.DiceLoss("multilabel", smooth=0.5, ignore_index=-1),  # of half the denominator
    "jaccard": smp.JaccardLoss("multilabel", smooth=1.0, ignore_index=-1),
    "tversky": smp.TverskyLoss("multilabel", smooth=1.0, ignore_index=-1, alpha=0.3, beta=0.7),
}


@pytest.mark.parametrize("name", SMP)
def test_region_terms_agree_with_smp_where_every_class_is_present(name: str) -> None:
    logits, target, valid = example()
    theirs = SMP[name](logits, torch.where(valid > 0, target, -1.0))
    torch.testing.assert_close(build(name)(logits, target, valid), theirs)


def test_mcc_agrees_with_smp_where_nothing_is_ignored() -> None:
    logits, target, _ = example()
    theirs = torch.stack([smp.MCCLoss(eps=1.0)(logits[:, c].sigmoid(), target[:, c]) for c in range(3)]).mean()
    torch.testing.assert_close(build("mcc")(logits, target, torch.ones_like(target)), theirs)


def test_bce_and_dice_are_bit_for_bit_what_finished_trainings_had() -> None:
    logits, target, valid = example()

    def then(shown: torch.Tensor) -> torch.Tensor:
        loss = functional.binary_cross_entropy_with_logits(shown, target, reduction="none")
        probabilities, true, axes = shown.sigmoid() * valid, target * valid, (0, 2, 3)
        overlap, total = 2 * (probabilities * true).sum(axes), probabilities.sum(axes) + true.sum(axes)
        return 1.0 * ((loss * valid).sum() / valid.sum().clamp(min=1)) + 0.7 * (1 - (overlap + 1) / (total + 1)).mean()

    now = build_loss(Section(bce=1.0, dice=0.7))
    (value, gradient), (old_value, old_gradient) = (
        (loss(shown := logits.clone().requires_grad_()), *torch.autograd.grad(loss(shown), shown))
        for loss in (lambda shown: now(shown, target, valid), then)
    )
    assert value == old_value
    assert torch.equal(gradient, old_gradient)


def test_logits_of_half_precision_are_reckoned_in_float32() -> None:
    half = LOGITS.bfloat16()
    for name in LOSSES:
        value = build(name)(half, TARGET, VALID)
        assert value.dtype == torch.float32
        assert value == build(name)(half.float(), TARGET, VALID)
