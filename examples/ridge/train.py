"""Fits ridge regressions of several strengths to scikit-learn's diabetes data, tracked with wandb."""

import os
from pathlib import Path

import numpy as np
import wandb
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

DEFAULTS = {"weakest": 0.001, "strongest": 10.0, "steps": 9, "folds": 5}
# Written when the image is built; absent where the script runs without one.
BUILT = Path("/etc/ridge-build")


def train(run: wandb.Run) -> None:
    config = run.config
    x, y = load_diabetes(return_X_y=True)
    for alpha in np.geomspace(config.weakest, config.strongest, config.steps):
        scores = cross_val_score(
            Ridge(alpha=alpha), x, y, cv=config.folds, scoring="r2"
        )
        run.log({"alpha": alpha, "r2": scores.mean(), "r2_spread": scores.std()})
        print(f"alpha {alpha:9.4f}: r2 {scores.mean():.4f} ± {scores.std():.4f}")


if __name__ == "__main__":
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT", "ridge"), config=DEFAULTS
    ) as run:
        run.summary["image"] = BUILT.read_text().strip() if BUILT.exists() else "none"
        train(run)
