"""The zoo's own layers in PyTorch, and what is drawn anew in every training step."""

from __future__ import annotations

from typing import Any

import numpy as np


def sampling() -> Any:
    """`Sampling`: a latent vector around its mean in training, the mean at inference."""
    import torch

    class Sampling(torch.nn.Module):
        """The reparameterisation step."""

        def forward(self, mean: Any, log_var: Any) -> Any:
            return mean + torch.exp(0.5 * log_var) * torch.randn_like(mean) if self.training else mean

    return Sampling()


def noise(layer: Any) -> Any:
    """`GaussianNoise`."""
    import torch

    sigma = layer.stddev

    class GaussianNoise(torch.nn.Module):
        """Noise in training."""

        def forward(self, values: Any) -> Any:
            return values + sigma * torch.randn_like(values) if self.training else values

    return GaussianNoise()


def keep_pixels(layer: Any) -> Any:
    """`KeepPixels`."""
    import torch

    rate = layer.rate

    class KeepPixels(torch.nn.Module):
        """Which hit pixels stay visible."""

        def forward(self, rasters: Any) -> Any:
            first = rasters[:, :1]
            if not self.training or not rate:
                return torch.ones_like(first)
            hit = first > 0
            luck = torch.where(hit, torch.rand_like(first), -1.0)
            hidden = hit & (luck < rate) & (luck < luck.amax((1, 2, 3), keepdim=True))
            return torch.where(hidden, 0.0, 1.0)

    return KeepPixels()


def enlarge(layer: Any) -> Any:
    """`Enlarge`: the same places of the same pixels."""
    import torch

    size, most = layer.size, layer.max_factor

    def span(line: Any) -> tuple[Any, Any]:
        line = line.int()
        first = line.argmax(1)
        return first, line.shape[1] - line.flip(1).argmax(1) - first

    def source(first: Any, length: Any, factor: Any) -> tuple[Any, Any]:
        start = (size - factor * length) // 2
        place = torch.arange(size, device=first.device)[None] - start[:, None]
        line = torch.minimum((place // factor[:, None]).clamp_min(0), length[:, None] - 1)
        return line + first[:, None], (place >= 0) & (place < (factor * length)[:, None])

    class Enlarge(torch.nn.Module):
        """Clusters in the middle of a larger image."""

        def forward(self, rasters: Any) -> Any:
            last = rasters.permute(0, 2, 3, 1)
            batch, height, width, channels = last.shape
            hit = last[..., 0] > 0
            (top, tall), (left, wide) = span(hit.any(2)), span(hit.any(1))
            factor = (size // torch.maximum(tall, wide).clamp_min(1)).clamp(1, most)
            (rows, in_rows), (cols, in_cols) = source(top, tall, factor), source(left, wide, factor)
            image = torch.arange(batch, device=last.device)[:, None, None]
            index = (image * height + rows[:, :, None]) * width + cols[:, None, :]
            inside = in_rows[:, :, None] & in_cols[:, None, :]
            taken = last.reshape(-1, channels)[index]
            return torch.where(inside[..., None], taken, torch.zeros((), dtype=taken.dtype)).permute(0, 3, 1, 2)

    return Enlarge()


def student_t(layer: Any) -> Any:
    """`StudentT` with its centroids."""
    import torch

    (centroids,) = layer.get_weights()
    alpha = layer.alpha

    class StudentT(torch.nn.Module):
        """Shares of the clusters."""

        def __init__(self) -> None:
            super().__init__()
            self.centroids = torch.nn.Parameter(torch.from_numpy(np.array(centroids)))

        def forward(self, z: Any) -> Any:
            distance2 = (z.float()[:, None] - self.centroids).square().sum(-1)
            q = (1 + distance2 / alpha) ** (-(alpha + 1) / 2)
            return q / q.sum(-1, keepdim=True)

    return StudentT()
