"""Regress the next word's embedding with the squared error."""

import torch.nn.functional as F
from torch import Tensor

from bench.heads.regressor import Regressor


class MSEHead(Regressor):
    """Descends ‖p − e‖² / D; ranks by −‖p − e_w‖², the row's own constant ‖p‖² left out."""

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        return F.mse_loss(self.projection(hidden), self.aim(words, vectors))

    def scores(self, hidden: Tensor) -> Tensor:
        return 2 * self.projection(hidden) @ self.table.T - self.table.square().sum(-1)  # [N, V]
