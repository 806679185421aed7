"""What networks need in order to run, told by their names: known before torch is loaded.

Found by running the families of timm 1.0 at 224, 256, 320 and 512 px, and every decoder of smp 0.6 on one image.
"""

# Tables of positions, or attention over a fixed grid, for one height and width: built for the training window's.
_ONE_SIZE = (
    "tu-beit_", "tu-beitv2", "tu-botnet", "tu-coat", "tu-eca_botnext", "tu-efficientformerv2", "tu-gcvit",
    "tu-halo2botnet", "tu-hiera_", "tu-lambda_", "tu-lamhalobotnet", "tu-maxvit", "tu-maxxvit", "tu-sebotnet",
    "tu-vit_relpos", "tu-vit_srelpos", "tu-volo",
)  # fmt: skip
# Made for one size, unless they are told not to be.
_DYNAMIC = ("tu-beit3", "tu-deit", "tu-eva02", "tu-flexivit", "tu-vit_", "tu-vitamin")
_TWO_IMAGES = ("DeepLabV3", "DeepLabV3Plus", "FpnAsppUnet", "PAN", "UPerNet")


def arguments_for(encoder: str, size: int) -> dict[str, object]:
    """The arguments that let an encoder run on windows of `size` px."""
    if encoder.startswith(_ONE_SIZE):
        return {"img_size": size}
    if encoder.startswith("tu-swin"):
        return {"strict_img_size": False}
    return {"dynamic_img_size": True} if encoder.startswith(_DYNAMIC) else {}


def takes_one_size(arguments: dict[str, object]) -> bool:
    """Whether an encoder with these arguments takes windows of its `img_size` alone."""
    flexible = not arguments.get("strict_img_size", True) or arguments.get("dynamic_img_size", False)
    return "img_size" in arguments and not flexible


def least_batch(decoder: str) -> int:
    """The fewest images of a training step: batch-norm after global pooling needs two."""
    return 2 if decoder in _TWO_IMAGES else 1


def multiple_of(decoder: str) -> int:
    """Px of which a window's height and width are multiples; PAN halves the deepest map three times more."""
    return 128 if decoder == "PAN" else 32
