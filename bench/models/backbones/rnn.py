"""LSTM and GRU trunks. B streams, T steps, E input width, H hidden size, V vocabulary size."""

from typing import Any

from torch import Tensor, nn

from bench.core.errors import SettingError
from bench.core.settings import Depth, Dropout, Width

GATES = {nn.LSTM: 4, nn.GRU: 3}


class RNN(nn.Module):
    """An input layer and a recurrent trunk; id V stands for the start of a document.

    Args:
        cell: `torch.nn.LSTM` or `torch.nn.GRU`.
        hidden_size: H.
        layers: recurrent layers.
        dropout: on what enters and leaves the recurrence.
        vocabulary_size: V.
        input_width: columns of contextual input vectors; None learns an embedding of the ids.

    Raises:
        SettingError: another cell, whose cost nobody has counted.
    """

    def __init__(
        self,
        *,
        cell: type[nn.LSTM] | type[nn.GRU],
        hidden_size: Width,
        layers: Depth,
        dropout: Dropout,
        vocabulary_size: int,
        input_width: int | None = None,
    ):
        super().__init__()
        if cell not in GATES:
            raise SettingError("backbone.trunk.cell.path", f"{cell} is not torch.nn.LSTM or torch.nn.GRU; choose one")
        self.hidden_size, self.input_width = hidden_size, input_width
        learned = input_width is None
        self.input = nn.Embedding(vocabulary_size + 1, hidden_size) if learned else nn.Linear(input_width, hidden_size)
        if learned:
            nn.init.normal_(self.input.weight, std=0.1)
        self.rnn = cell(hidden_size, hidden_size, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Ids [B, T] or vectors [B, T, E], and the state after the words before -> hidden [B, T, H], state."""
        hidden, state = self.rnn(self.dropout(self.input(inputs)), state)
        return self.dropout(hidden), state

    def flops_per_position(self) -> int:
        """Of a training step: 2 a multiply-add, and twice the forward pass for the gradients of weights and inputs."""
        multiply_adds = 2 * GATES[type(self.rnn)] * self.hidden_size**2 * self.rnn.num_layers
        return 3 * 2 * multiply_adds + (2 * 2 * self.input_width * self.hidden_size if self.input_width else 0)
