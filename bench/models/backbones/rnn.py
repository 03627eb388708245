"""LSTM (Hochreiter & Schmidhuber 1997) and GRU (Cho et al. 2014) backbones.

B sequences, T steps, E input width, L layers, H hidden size, V vocabulary size.
"""

from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map

from bench.core.errors import SettingError
from bench.core.settings import Depth, Dropout, Width
from bench.models.backbones import Backbone
from bench.models.dropout import BitDropout

GATES = {
    nn.LSTM: 4,
    nn.GRU: 3,
}  # number of gates: matrices per layer that read the input; the same number reads the state


class RNN(Backbone):
    """Recurrent network with an input layer; id V stands for the start of a document.

    Args:
        cell: `torch.nn.LSTM` or `torch.nn.GRU`.
        hidden_size: size of a hidden state, H.
        layers: number of layers, L.
        dropout: probability of dropout on inputs and outputs of the recurrent layers, and between layers.
        vocabulary_size: V.
        input_width: size E of contextual input vectors; None: an embedding of the ids is learnt.

    Raises:
        SettingError: `cell` is another class, without a FLOP formula.
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
        super().__init__(hidden_size=hidden_size, vocabulary_size=vocabulary_size, input_width=input_width)
        if cell not in GATES:
            raise SettingError("backbone.trunk.cell.path", f"{cell} is not torch.nn.LSTM or torch.nn.GRU; choose one")
        learned = input_width is None
        self.input = nn.Embedding(vocabulary_size + 1, hidden_size) if learned else nn.Linear(input_width, hidden_size)
        if learned:
            nn.init.normal_(self.input.weight, std=0.1)
        self.rnn = cell(hidden_size, hidden_size, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = BitDropout(dropout)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read T more words of each sequence.

        Ids [B, T] or vectors [B, T, E], state [B, L, H] -> hidden [B, T, H], state [B, L, H]; an LSTM's state is a
        pair of such tensors.
        """
        if state is not None:  # torch needs contiguous [L, B, H]; with one layer no data is copied
            state = tree_map(lambda leaf: leaf.movedim(0, 1).contiguous(), state)
        hidden, state = self.rnn(self.dropout(self.input(inputs)), state)
        return self.dropout(hidden), tree_map(lambda leaf: leaf.movedim(1, 0), state)

    def word_embeddings(self) -> list[nn.Embedding]:
        return [] if self.input_width else [self.input]

    def flops_per_position(self, steps: int) -> int:
        """Return three times the FLOPs of the forward pass: gradients of weights and of inputs cost as much each.

        A layer that reads input vectors counts twice: the vectors need no gradient.
        """
        multiply_adds = 2 * GATES[type(self.rnn)] * self.hidden_size**2 * self.rnn.num_layers
        return 3 * 2 * multiply_adds + (2 * 2 * self.input_width * self.hidden_size if self.input_width else 0)
