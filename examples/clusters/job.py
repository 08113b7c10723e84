"""Looks for groups among scikit-learn's irises with k-means, for several numbers of groups, tracked with wandb."""

import os

import wandb
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import StandardScaler

DEFAULTS = {"most": 8, "restarts": 10, "seed": 7}


def main(run: wandb.Run) -> None:
    iris = load_iris()
    points = StandardScaler().fit_transform(iris.data)
    for groups in range(2, run.config.most + 1):
        model = KMeans(
            n_clusters=groups, n_init=run.config.restarts, random_state=run.config.seed
        ).fit(points)
        silhouette = silhouette_score(points, model.labels_)
        agreement = adjusted_rand_score(iris.target, model.labels_)
        run.log(
            {
                "groups": groups,
                "inertia": model.inertia_,
                "silhouette": silhouette,
                "agreement": agreement,
            }
        )
        print(
            f"{groups} groups: silhouette {silhouette:.3f}, agreement with the species {agreement:.3f}"
        )


if __name__ == "__main__":
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT", "clusters"), config=DEFAULTS
    ) as run:
        main(run)
