"""Hidden state -> loss and scores. One file a head; the folder is the registry: nothing lists them.

N positions, H hidden size, V vocabulary size, D embedding size.
"""

from torch import Tensor, nn

from bench.data.vocabulary import Vocabulary


class Head(nn.Module):
    """Ranks the whole vocabulary from one hidden state.

    Args:
        hidden_size: H, what the backbone gives.
        vocabulary: whose V ids are ranked.
    """

    is_density = True  # False: exp of the raw mean nats is a proxy, no perplexity
    row_sparse = False  # True, set by whose optimiser can take them: gradients may hold touched rows alone

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary):
        super().__init__()
        self.hidden_size, self.vocabulary_size = hidden_size, len(vocabulary)

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        """What training descends: mean over positions. [N, H], [N] -> []

        Where `targets.level=token`, a head that has targets is given `vectors` [N, D] as a third argument.
        """
        raise NotImplementedError

    def scores(self, hidden: Tensor) -> Tensor:
        """Higher is likelier; a density gives log-probabilities up to a constant a row. [N, H] -> [N, V]"""
        raise NotImplementedError

    def rows(self) -> tuple[Tensor, Tensor | None] | None:
        """[V, K] and [V] where scores are queries(hidden) @ rows.T + offsets: what an index can search; else None."""
        return None

    def queries(self, hidden: Tensor) -> Tensor:
        """What the rows are multiplied with. [N, H] -> [N, K]"""
        return hidden
