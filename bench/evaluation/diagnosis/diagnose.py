"""All parts of a diagnosis: the field `diagnosis` of a record."""

import time

from bench.evaluation.diagnosis.chain import chain
from bench.evaluation.diagnosis.collapse import collapse
from bench.evaluation.diagnosis.hubness import hubness
from bench.evaluation.diagnosis.inputs import Case
from bench.evaluation.diagnosis.ladder import ladder

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
        **chain(case, inputs),
        "read_outs": ladder(case, sample),
        "collapse": collapse(case, sample),
        "hubness": hubness(case, sample),
        "diagnosis_seconds": time.perf_counter() - begin,
    }
