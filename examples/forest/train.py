"""Grows a random forest on scikit-learn's wine data, one tree more at a time, tracked with wandb."""

import os

import wandb
from features import names_and_split
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score

DEFAULTS = {"trees": 60, "step": 10, "max_depth": 6, "test_fraction": 0.3, "seed": 7}


def train(run: wandb.Run) -> None:
    config = run.config
    names, x_train, x_test, y_train, y_test = names_and_split(
        config.test_fraction, config.seed
    )
    forest = RandomForestClassifier(
        n_estimators=config.step,
        max_depth=config.max_depth,
        random_state=config.seed,
        warm_start=True,
    )
    for trees in range(config.step, config.trees + 1, config.step):
        forest.set_params(n_estimators=trees).fit(x_train, y_train)
        accuracy = accuracy_score(y_test, forest.predict(x_test))
        run.log({"trees": trees, "accuracy": accuracy})
        print(f"{trees:4} trees: accuracy {accuracy:.4f}")
    ranked = sorted(
        zip(names, forest.feature_importances_, strict=True), key=lambda pair: -pair[1]
    )
    run.log(
        {
            "importance": wandb.Table(
                columns=["feature", "importance"], data=[list(pair) for pair in ranked]
            )
        }
    )


if __name__ == "__main__":
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT", "forest"), config=DEFAULTS
    ) as run:
        train(run)
