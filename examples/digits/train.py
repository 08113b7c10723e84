"""Trains a small neural network on scikit-learn's handwritten digits, tracked with wandb.

Every hyperparameter comes from `wandb.config`, so a launch can override each of them.
"""

import os
import tempfile

import joblib
import numpy as np
import wandb
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

DEFAULTS = {
    "learning_rate": 0.001,
    "epochs": 15,
    "batch_size": 32,
    "hidden_units": 32,
    "test_fraction": 0.25,
    "seed": 7,
}


def load(test_fraction: float, seed: int):
    """Returns the 1,797 images as rows of 64 values in 0..1, split with the same share of each digit."""
    digits = load_digits()
    return train_test_split(
        digits.data / 16.0,
        digits.target,
        test_size=test_fraction,
        random_state=seed,
        stratify=digits.target,
    )


def train(run: wandb.Run) -> None:
    config = run.config
    x_train, x_test, y_train, y_test = load(config.test_fraction, config.seed)
    classes = np.unique(y_train)
    model = MLPClassifier(
        hidden_layer_sizes=(config.hidden_units,),
        learning_rate_init=config.learning_rate,
        random_state=config.seed,
    )
    shuffle = np.random.default_rng(config.seed)

    for epoch in range(1, config.epochs + 1):
        order = shuffle.permutation(len(x_train))
        for start in range(0, len(order), config.batch_size):
            batch = order[start : start + config.batch_size]
            model.partial_fit(x_train[batch], y_train[batch], classes=classes)
        metrics = {
            "epoch": epoch,
            "loss": log_loss(y_train, model.predict_proba(x_train), labels=classes),
            "test_loss": log_loss(y_test, model.predict_proba(x_test), labels=classes),
            "accuracy": accuracy_score(y_test, model.predict(x_test)),
        }
        run.log(metrics)
        print(
            f"epoch {epoch:2}: loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.4f}"
        )

    run.log(
        {
            "confusion_matrix": wandb.plot.confusion_matrix(
                y_true=y_test.tolist(),
                preds=model.predict(x_test).tolist(),
                class_names=[str(digit) for digit in classes],
                title="Digits: actual and predicted",
            )
        }
    )
    save(run, model)


def save(run: wandb.Run, model: MLPClassifier) -> None:
    """Logs the fitted model as an artifact of type `model`."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.joblib")
        joblib.dump(model, path)
        artifact = wandb.Artifact(
            "digits-classifier",
            type="model",
            metadata={
                "accuracy": run.summary["accuracy"],
                "learning_rate": run.config.learning_rate,
            },
        )
        artifact.add_file(path)
        run.log_artifact(artifact)


if __name__ == "__main__":
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT", "digits"), config=DEFAULTS
    ) as run:
        train(run)
