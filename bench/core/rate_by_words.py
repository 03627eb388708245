"""Learning rate by number of training words: a resolver, `${rate_by_words:${system.lr},${budget.words}}`."""

SEARCHED_WORDS = 150_000  # training words of experiment=tune, on which the rates of conf/system were searched

# The best rate falls about as N^-0.3 with the number N of training words: measured with six heads at 300,000, 1,000,000
# and 3,000,000 words (experiment=learning_rate on 260 books, V = 10,000), at batch.streams=16; larger batches may bear
# higher rates.
EXPONENT = 0.3


def rate_by_words(searched: float | None, words: int | None) -> float | None:
    """Return the peak learning rate for a number of training words.

    Args:
        searched: rate that was searched on `SEARCHED_WORDS`; None for a system that has none.
        words: training words; None for a budget of seconds alone. With None, or with at most `SEARCHED_WORDS`, the
            searched rate is returned.
    """
    if searched is None or words is None or words <= SEARCHED_WORDS:
        return searched
    return float(f"{searched * (SEARCHED_WORDS / words) ** EXPONENT:.2g}")
