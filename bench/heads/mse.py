"""Regress the next word's embedding with the squared error."""

from torch import Tensor

from bench.heads.regressor import Regressor


class MSEHead(Regressor):
    """Descends ‖p − e‖², D times the mean squared error; ranks by −‖p − e_w‖², less the row's own constant ‖p‖²."""

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        return (self.projection(hidden) - self.aim(words, vectors)).square().sum(-1).mean()

    def scores(self, hidden: Tensor) -> Tensor:
        return 2 * self.projection(hidden) @ self.table.T - self.table.square().sum(-1)  # [N, V]
