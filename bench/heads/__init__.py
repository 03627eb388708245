"""Output heads: hidden states -> loss and scores. One file per head; the folder is the registry.

N positions, H hidden size, V vocabulary size, D embedding size.
"""

from torch import Tensor, nn

from bench.data.vocabulary import Vocabulary


class Head(nn.Module):
    """Output head: a layer that scores the whole vocabulary, given one hidden state.

    A subclass defines `loss` and `scores`, and `rows` and `queries` if its scores are a matrix product.

    Args:
        hidden_size: H, width of the backbone's hidden states.
        vocabulary: the V words that are ranked.
    """

    is_density = True  # False: softmax(scores) is no probability, and exp of the mean raw nats is a proxy
    row_sparse = False  # True: gradients may hold only the rows of a step; set if the optimiser takes such gradients

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary):
        super().__init__()
        self.hidden_size, self.vocabulary_size = hidden_size, len(vocabulary)

    def __init_subclass__(cls, **options: object):
        """Drop the inherited `rows` if a subclass redefines `scores`: they belong to the scores of the parent."""
        super().__init_subclass__(**options)
        if "scores" in vars(cls) and "rows" not in vars(cls):
            cls.rows = Head.rows

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        """Return the training loss, the mean over positions. [N, H], [N] -> []

        If `targets.level=token`, a head with targets takes the vectors of the occurrences [N, D] as third argument.
        """
        raise NotImplementedError

    def scores(self, hidden: Tensor) -> Tensor:
        """Score all words: higher is likelier. [N, H] -> [N, V]

        Scores of a density are log-probabilities up to a constant per row.
        """
        raise NotImplementedError

    def rows(self) -> tuple[Tensor, Tensor | None] | None:
        """Return rows [V, K] and offsets [V] if scores are queries(hidden) @ rows.T + offsets, else None.

        An index can search such rows; offsets are None if they are all 0.
        """
        return None

    def queries(self, hidden: Tensor) -> Tensor:
        """Return the vectors that the rows are multiplied with. [N, H] -> [N, K]"""
        return hidden
