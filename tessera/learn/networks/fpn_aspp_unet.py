"""U-Net whose deepest map goes through atrous pyramid pooling and whose scales meet again before the last layer.

Source: UneXt50 in Iafoss, "HuBMAP PyTorch fast.ai starter", Kaggle 2020, without its weight normalisation.
"""

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.base import ClassificationHead
from torch import nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

_ASPP = 256, 512  # channels of a branch, and of what they become
_UNET = 256, 128, 64, 32  # channels at strides 16, 8, 4, 2
_PYRAMID = 32, 16  # channels within and after a branch of the feature pyramid


class FpnAsppUnet(smp.base.SegmentationModel):
    """Images (B, C, H, W) → logits (B, classes, H, W), over any encoder of smp or timm; the arguments are smp's.

    An encoder without a map at stride 2 (swin, convnext, mit: 0 channels) gives no skip there.
    """

    def __init__(
        self,
        encoder_name: str,
        encoder_weights: str | bool | None = None,
        in_channels: int = 3,
        classes: int = 1,
        aux_params: dict | None = None,
        **arguments: object,
    ):
        super().__init__()
        self.encoder = smp.encoders.get_encoder(
            encoder_name, in_channels=in_channels, weights=encoder_weights, **arguments
        )
        self.decoder = _Decoder(self.encoder.out_channels[-5:])
        width = _UNET[-1] + len(_UNET) * _PYRAMID[1]
        self.segmentation_head = nn.Sequential(
            nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1), nn.Upsample(scale_factor=2, mode="bilinear")
        )
        self.classification_head = aux_params and ClassificationHead(self.encoder.out_channels[-1], **aux_params)
        self.initialize()
        for block in self.decoder.blocks:
            block.start_smooth()


class _Decoder(nn.Module):
    """Encoder maps, the last five at strides 2…32 → a map (B, 96, H/2, W/2)."""

    def __init__(self, channels: list[int]):
        super().__init__()
        *skips, deepest = channels
        widths = [_ASPP[1], *_UNET]
        self.aspp = _Aspp(deepest)
        self.blocks = nn.ModuleList(map(_Block, widths, skips[::-1], widths[1:]))
        self.pyramid = nn.ModuleList(map(_pyramid, widths[:-1]))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        *skips, deepest = maps[-5:]
        levels = [self.aspp(deepest)]
        for block, skip in zip(self.blocks, skips[::-1], strict=True):
            levels.append(block(levels[-1], skip))
        *coarse, finest = levels
        size = finest.shape[-2:]
        seen = [
            F.interpolate(branch(one), size, mode="bilinear") for branch, one in zip(self.pyramid, coarse, strict=True)
        ]
        return torch.cat([*seen, finest], 1)


class _Aspp(nn.Module):
    """Looks at a map through dilations 1…4, in four groups of channels, and at its maximum."""

    def __init__(self, channels: int):
        super().__init__()
        branch, out = _ASPP
        self.branches = nn.ModuleList([_normed(channels, branch, 1)])
        self.branches.extend(_normed(channels, branch, 3, padding=n, dilation=n, groups=4) for n in (1, 2, 3, 4))
        self.pooled = _normed(channels, branch, 1)
        self.merge = nn.Sequential(_normed(6 * branch, out, 1), nn.Dropout2d(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = self.pooled(x.amax((2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return self.merge(torch.cat([*(branch(x) for branch in self.branches), pooled], 1))


class _Block(nn.Module):
    """Doubles a map's side by a pixel shuffle and adds the encoder's map of that size."""

    def __init__(self, channels: int, skip: int, out: int):
        super().__init__()
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.norm = nn.BatchNorm2d(skip) if skip else None
        self.first = nn.Conv2d(channels // 2 + skip, out, 3, padding=1)
        self.second = nn.Conv2d(out, out, 3, padding=1)

    def start_smooth(self) -> None:
        """The four px that a px becomes are alike at first, without a checkerboard. Source: Aitken et al. 2017, ICNR."""
        with torch.no_grad():
            self.widen.weight.copy_(self.widen.weight[::4].repeat_interleave(4, 0))

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        up = F.pixel_shuffle(F.relu(self.widen(x)), 2)
        x = F.relu(torch.cat([up, self.norm(skip)], 1) if self.norm else up)
        return F.relu(self.second(F.relu(self.first(x))))


def _normed(channels: int, out: int, kernel: int, **options: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, kernel, bias=False, **options), nn.BatchNorm2d(out), nn.ReLU())


def _pyramid(channels: int) -> nn.Sequential:
    within, out = _PYRAMID
    return nn.Sequential(
        nn.Conv2d(channels, within, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(within),
        nn.Conv2d(within, out, 3, padding=1),
    )  # fmt: skip
