"""Diagnosis of a regressor: where each point of accuracy, and each nat, of its distance to a reference is lost."""

import time

from bench.evaluation.diagnosis import chain, collapse, hubness, ladder
from bench.evaluation.diagnosis.inputs import Case

SAMPLE = 5000  # test positions, evenly spaced, of read-outs, collapse and hubness; the chain is measured at all


def diagnose(case: Case) -> dict[str, object]:
    """Return the content of a record's field `diagnosis`; docs/metrics.md defines every figure.

    Raises:
        Diverged: scores that are not finite.
    """
    begin = time.perf_counter()
    inputs = case.inputs("test")
    sample = inputs.spaced(SAMPLE)
    return {
        **chain.chain(case, inputs),
        "read_outs": ladder.ladder(case, sample),
        "collapse": collapse.collapse(case, sample),
        "hubness": hubness.hubness(case, sample),
        "diagnosis_seconds": time.perf_counter() - begin,
    }
