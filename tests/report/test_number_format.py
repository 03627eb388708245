"""Numbers as readers see them."""

from math import nan

import pytest

from bench.report import number_format


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (nan, nan, "–"),
        (0.0, nan, "0.00"),
        (2.3456, nan, "2.35"),
        (9.996, nan, "10.0"),
        (123456.0, nan, "123,000"),
        (0.00123456, nan, "0.00123"),
        (2.3456, 0.0312, "2.35 ± 0.03"),
        (2.3456, 0.31, "2.3 ± 0.3"),
        (2.3456, 0.0004, "2.35 ± 0.0004"),
        (1234.0, 56.0, "1,230 ± 60"),
        (4.0, 0.0, "4.00"),
    ],
)
def test_decimals_follow_from_the_standard_error(value: float, error: float, text: str):
    assert number_format.mean_and_error(value, error) == text


def test_error_is_left_out_when_it_is_the_rounding_of_floats():
    assert number_format.mean_and_error(223.0, 2e-14) == "223"
    assert number_format.mean_and_error(223.0, 2.0) == "223 ± 2"
