"""`models.<name>.loss:` and `auxiliary:` the terms of a training's loss, each its weight or {weight, options}."""

from typing import Annotated

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tessera.params.section import Section, Share, later

Weight = Annotated[float, Field(gt=0)]
Smoothing = Annotated[float, Field(ge=0, lt=1)]  # at 1 all targets are 0.5


class Term(Section):
    """A number stands for {weight: number}; records hold that number as long as no option differs from its default."""

    weight: Weight = 1.0

    @model_validator(mode="before")
    @classmethod
    def _a_number_is_the_weight(cls, value: object) -> object:
        return value if isinstance(value, dict | Term) else {"weight": value}

    @model_serializer(mode="wrap")
    def _weight_alone_is_a_number(self, dump: SerializerFunctionWrapHandler) -> float | dict:
        values = dump(self)
        return values if len(values) > 1 else self.weight

    @property
    def options(self) -> dict[str, object]:
        """All but the weight: the keyword arguments of the term's function."""
        return {name: value for name, value in self if name != "weight"}


class Bce(Term):
    positive_weight: float = later(1.0, gt=0)  # of a positive pixel; a negative one counts 1
    label_smoothing: Smoothing = later(0.0)  # 0.1 trains towards 0.05 and 0.95


class Focal(Term):
    gamma: float = later(2.0, ge=1)  # 1 and more: below, the gradient is infinite where the network is sure
    alpha: Share | None = later(None)  # weight of a positive pixel; a negative one counts 1 − alpha; null: both 1
    label_smoothing: Smoothing = later(0.0)


class Region(Term):
    per_image: bool = later(False)  # the mean over images instead of one value over all pixels of the batch


class Tversky(Region):
    alpha: float = later(0.3, ge=0)  # of a false positive
    beta: float = later(0.7, ge=0)  # of a false negative; higher finds more

    @model_validator(mode="after")
    def _errors_cost(self) -> "Tversky":
        if self.alpha == self.beta == 0:
            raise ValueError("alpha and beta are both 0, so that no error costs anything; raise one of them")
        return self


class FBeta(Region):
    beta: float = Field(gt=0)  # below 1 false positives cost more; see score.beta


class Boundary(Region):
    tolerance: int = later(2, ge=0)  # px between two edges that count as the same


class Loss(Section):
    bce: Bce | None = later(None)
    focal: Focal | None = later(None)
    dice: Region | None = later(None)
    jaccard: Region | None = later(None)
    tversky: Tversky | None = later(None)
    fbeta: FBeta | None = later(None)
    mcc: Region | None = later(None)
    lovasz: Region | None = later(None)
    boundary: Boundary | None = later(None)

    @model_validator(mode="after")
    def _has_a_term(self) -> "Loss":
        if not self.terms:
            raise ValueError(f"names no term; there are {', '.join(type(self).model_fields)}")
        return self

    @property
    def terms(self) -> dict[str, Term]:
        """Those that params.yaml names."""
        return {name: term for name, term in self if term}


class Auxiliary(Section):
    """A classifier on the encoder's last map, trained along and not used to predict."""

    empty: Weight  # of the loss that asks, per class, whether the window has no positive pixel
