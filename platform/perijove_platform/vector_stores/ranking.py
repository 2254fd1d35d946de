"""Ordering what the index found: by meaning, and by the query's own words."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from perijove_platform.vector_stores.schemas import RankingOptions

_WORDS = re.compile(r"\w+")
_TEXT_WEIGHT = 0.2
_K1 = 1.2
_B = 0.75
CANDIDATES_PER_RESULT = 4


def text_weight(options: RankingOptions) -> float:
    """The share, 0 to 1, that the words have in a score; 0.2 unless `hybrid_search` says otherwise."""
    if options.ranker == "none":
        return 0.0
    if options.hybrid_search is None:
        return _TEXT_WEIGHT
    weights = options.hybrid_search
    return weights.text_weight / (weights.embedding_weight + weights.text_weight)


def scores(queries: Sequence[str], texts: Sequence[str], similarities: Sequence[float], weight: float) -> list[float]:
    """A score from 0 to 1 for each of `texts`.

    It is ``(1 - weight) * max(0, cosine) + weight * words``, where `words` is the passage's BM25 among the candidates
    (k1 = 1.2, b = 0.75; Robertson and Zaragoza, 2009) as a share of the greatest that its query's words could reach.

    Args:
        similarities: the best cosine of each text with any of the queries.
    """
    clipped = [min(1.0, max(0.0, similarity)) for similarity in similarities]
    if not weight or not texts:
        return clipped
    counts = [Counter(_words(text)) for text in texts]
    best = [0.0] * len(texts)
    for query in queries:
        best = [max(pair) for pair in zip(best, _word_scores(set(_words(query)), counts), strict=True)]
    return [(1 - weight) * cosine + weight * words for cosine, words in zip(clipped, best, strict=True)]


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.casefold())


def _word_scores(query: set[str], counts: Sequence[Counter[str]]) -> list[float]:
    lengths = [count.total() for count in counts]
    average = max(1.0, sum(lengths) / len(lengths))
    frequency = {word: sum(word in count for count in counts) for word in query}
    rarity = {word: math.log(1 + (len(counts) - seen + 0.5) / (seen + 0.5)) for word, seen in frequency.items()}
    greatest = (_K1 + 1) * sum(rarity.values())
    if not greatest:
        return [0.0] * len(counts)
    return [
        sum(
            rarity[word] * count[word] * (_K1 + 1) / (count[word] + _K1 * (1 - _B + _B * length / average))
            for word in query
            if word in count
        )
        / greatest
        for count, length in zip(counts, lengths, strict=True)
    ]
