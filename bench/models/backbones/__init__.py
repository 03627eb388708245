"""Backbones: networks from word inputs to hidden states. One file per backbone; the folder is the registry.

B sequences, T steps, E width of an input vector, H hidden size, V vocabulary size.
"""

from typing import Any

from torch import Tensor, nn


class Backbone(nn.Module):
    """Causal network over words: the hidden state of a position depends on the words before that position only.

    A subclass defines `forward` and `flops_per_position`, and names its word tables in `word_embeddings`. Training
    (truncated back-propagation), evaluation of long documents, BrierLM and generation all run a text in parts and pass
    the state of one part to the next, so `forward` over two parts must give the hidden states of `forward` over
    the whole text.

    A state is None (start of a document) or any tree (tuple, list, dict) of tensors. Every tensor of the tree has the
    sequences in its first dimension, [B, …], and the same size after every word: evaluation keeps the state before
    each word of the test text. States of single sequences are selected and combined by this rule only, and a checkpoint
    contains the state.

    In evaluation every document starts from None. In training the state continues from one document to the next; id V
    marks the start of a document, where a backbone that counts words may start again.

    Args:
        hidden_size: size of a hidden state, H.
        vocabulary_size: V. Inputs are ids 0 … V - 1, and V for the start of a document.
        input_width: E if inputs are an encoder's vectors; None if inputs are ids.
    """

    def __init__(self, *, hidden_size: int, vocabulary_size: int, input_width: int | None = None):
        super().__init__()
        self.hidden_size, self.vocabulary_size, self.input_width = hidden_size, vocabulary_size, input_width

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read T more words of each sequence.

        Args:
            inputs: ids [B, T] int64, or vectors [B, T, E] if `input_width` is not None.
            state: state after the preceding words; None at the start of a document.

        Returns:
            Hidden states [B, T, H], and the state after the last word.
        """
        raise NotImplementedError

    def word_embeddings(self) -> list[nn.Embedding]:
        """Return the embedding layers whose rows are words and are read by the input ids only.

        A training step reads few rows of such a layer, so `WordModel` uses row-sparse gradients for these layers, and
        for no other layer, and skips the updates of rows that the step does not read.
        """
        return []

    def flops_per_position(self, steps: int) -> float:
        """Return the FLOPs per position of a training step, forward and backward; a multiply-add is 2 FLOPs.

        Args:
            steps: T, length of a training sequence; attention costs more per position on longer sequences.
        """
        raise NotImplementedError
