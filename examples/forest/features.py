"""The wine data: 178 wines of three growers, 13 chemical measurements each. It comes with scikit-learn."""

from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split


def names_and_split(test_fraction: float, seed: int):
    """Returns the names of the measurements and the data, split with the same share of each grower."""
    wine = load_wine()
    parts = train_test_split(
        wine.data,
        wine.target,
        test_size=test_fraction,
        random_state=seed,
        stratify=wine.target,
    )
    return wine.feature_names, *parts
