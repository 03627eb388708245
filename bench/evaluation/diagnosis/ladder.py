"""Read-out ladder: fit decoders with more and more free parameters to a frozen regressor, and measure each.

If the last read-out, a linear softmax on the hidden states, is no better than the first, the hidden states lack the
information; if it is better, the regressor's own decoder does not use the information. Every read-out minimises the
cross-entropy. Word biases and linear map start at the calibrated rule; the probe starts at the fitted linear map, so
that too few training steps cannot make it worse.
n positions of a step, N positions, H hidden size, K columns of a query, V vocabulary size.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.evaluation.calibration import Calibration
from bench.evaluation.diagnosis.inputs import Case, Inputs
from bench.evaluation.diagnosis.read_outs import LinearMap, Probe, ReadOut, WordBias
from bench.evaluation.ranks import count_ranks
from bench.evaluation.score import evenly_spaced, vocabulary_ids

SEGMENTS, SEGMENT_WORDS = 4096, 64  # segments of training text, evenly spaced

HISTORY = 32  # words of each segment that are read but not fitted on, so that every fitted word has a history

STEP, EPOCHS = 1024, 1  # positions per step; passes over the sample

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # learning rates to choose from

PILOT = 4  # a learning rate is chosen by fits to every fourth position of the sample

SEED = 0  # of the order of positions


@torch.no_grad()  # not inference mode, whose tensors cannot be trained on
def training_sample(case: Case) -> tuple[Tensor, Tensor]:
    """Return hidden states [N, H] and words [N] of segments of the training text."""
    text = case.data.vocabulary.corpus.train
    length = min(SEGMENT_WORDS, len(text))
    history = min(HISTORY, length // 2)
    starts = evenly_spaced(len(text) - length + 1, SEGMENTS)
    positions = starts[:, None] + np.arange(length)  # [R, T]
    ids, features, words = vocabulary_ids(case.data.vocabulary, text), [], []
    for rows in np.array_split(positions, -(-len(positions) // 128)):
        features.append(case.model.segment_features(text, "train", rows)[:, history:].flatten(0, 1))
        words.append(ids[torch.from_numpy(rows[:, history:])].flatten())
    return torch.cat(features), torch.cat(words)


def fitted(read_out: ReadOut, features: Tensor, words: Tensor, case: Case) -> ReadOut:
    """Fit a read-out to a sample, at the learning rate with the fewest validation nats, and return it.

    Rates are tried in rising order, on a part of the sample, until the validation nats have fallen and no longer fall.
    """
    initial, start = free_state(read_out), nats_and_accuracy(read_out, case.calibration_inputs, case.unk)[0]
    chosen, fewest = RATES[0], start
    for rate in RATES:
        nats = fit(read_out, features[::PILOT], words[::PILOT], case, rate, start)
        restore(read_out, initial)
        if nats < fewest:
            chosen, fewest = rate, nats
        elif fewest < start:
            break
    fit(read_out, features, words, case, chosen, start)
    return read_out


def fit(read_out: ReadOut, features: Tensor, words: Tensor, case: Case, rate: float, start: float) -> float:
    """Fit the free parameters by Adam, and keep those after the epoch with the fewest validation nats, or the initial.

    Args:
        rate: of the first step; falls linearly to 0.
        start: validation nats of the initial parameters.

    Returns:
        The validation nats of the parameters that are kept.
    """
    optimizer = torch.optim.Adam(read_out.free_parameters(), lr=rate)
    steps, done = max(1, EPOCHS * (len(words) // STEP)), 0
    generator = torch.Generator().manual_seed(SEED)
    best = start, free_state(read_out)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(words), generator=generator).split(STEP)[: max(1, len(words) // STEP)]:
            # not by a scheduler of torch: its reference cycle would keep the moments of every fit until it is collected
            optimizer.param_groups[0]["lr"] = rate * (1 - done / steps)
            optimizer.zero_grad()
            read_out.loss(features[chosen], words[chosen]).backward()
            optimizer.step()
            done += 1
        nats = nats_and_accuracy(read_out, case.calibration_inputs, case.unk)[0]
        if nats < best[0]:
            best = nats, free_state(read_out)
    restore(read_out, best[1])
    return best[0]


def free_state(read_out: ReadOut) -> list[Tensor]:
    """Return a copy of the free parameters."""
    return [parameter.detach().clone() for parameter in read_out.free_parameters()]


def restore(read_out: ReadOut, state: list[Tensor]) -> None:
    """Set the free parameters to a copy that `free_state` returned."""
    for parameter, kept in zip(read_out.free_parameters(), state, strict=True):
        parameter.data.copy_(kept)


def nats_and_accuracy(read_out: ReadOut, inputs: Inputs, unk: int) -> tuple[float, float]:
    """Return the mean nats and accuracy@1 of a read-out; ranks leave out `<unk>`, whose id is `unk`."""
    return measured(lambda block: read_out.scores(block.features), inputs, len(read_out.bias), unk)


@torch.no_grad()
def measured(scores_of: Callable[[Inputs], Tensor], inputs: Inputs, size: int, unk: int) -> tuple[float, float]:
    """Return the mean nats and accuracy@1 of scores [n, V] of V = `size` words, computed block by block."""
    nats, hits = 0.0, 0
    for block in inputs.blocks(size):
        scores = scores_of(block)
        nats += float((scores.logsumexp(1) - scores.gather(1, block.words[:, None])[:, 0]).double().sum())
        hits += int((count_ranks(scores, block.words, unk).rank <= 1).sum())
    return nats / len(inputs.words), hits / len(inputs.words)


def ladder(case: Case, inputs: Inputs) -> list[dict[str, object]]:
    """Return a row per read-out: its name, number of free parameters, accuracy@1 and nats on `inputs`.

    Args:
        inputs: test positions; nothing is fitted on these.

    Returns:
        The rows, first that of the reference, for comparison at the same positions; only those without a fit if the
        model has no features of the training text.
    """
    read_outs = {"nearest": (0, ReadOut(case, case.scale_alone)), "calibrated": (2, ReadOut(case, case.calibration))}
    if "train" in case.model.splits:
        sample = training_sample(case)
        word_bias = fitted(WordBias(case, case.calibration), *sample, case)
        linear_map = fitted(LinearMap(case, case.calibration), *sample, case)
        probe = fitted(Probe(case, linear_map), *sample, case)
        for name, read_out in {"word_bias": word_bias, "linear_map": linear_map, "probe": probe}.items():
            read_outs[name] = sum(parameter.numel() for parameter in read_out.free_parameters()), read_out
    figures = {name: nats_and_accuracy(read_out, inputs, case.unk) for name, (_, read_out) in read_outs.items()}
    # a fitted scale below 0 would rank backwards; the nearest word is the first by the head's own scores
    nearest = nats_and_accuracy(ReadOut(case, Calibration(1.0, 0.0)), inputs, case.unk)
    figures["nearest"] = figures["nearest"][0], nearest[1]
    reference = measured(
        lambda block: case.reference_log_p(case.reference_scores(block)), inputs, len(case.log_unigram), case.unk
    )
    return [
        row("reference", None, *reference),
        *(row(name, parameters, *figures[name]) for name, (parameters, _) in read_outs.items()),
    ]


def row(name: str, parameters: int | None, nats: float, accuracy: float) -> dict[str, object]:
    """Return the row of one read-out."""
    return {"read_out": name, "parameters": parameters, "accuracy_at_1": accuracy, "nats": nats}
