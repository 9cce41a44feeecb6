from __future__ import annotations

import pytest

from production_server.training.recipe import Recipe, recipe_for


def test_fashion_mnist_is_trained_with_the_defaults() -> None:
    assert recipe_for(55_000, epochs=44, seed=1, flip=True) == Recipe(epochs=44)


@pytest.mark.parametrize(
    ("images", "batch", "epochs"), [(10, 16, 150), (280, 17, 125), (3_000, 128, 87), (100_000, 128, 30)]
)
def test_small_collections_get_smaller_batches_and_more_epochs(images: int, batch: int, epochs: int) -> None:
    recipe = recipe_for(images, epochs=None, seed=1, flip=True)

    assert (recipe.batch, recipe.epochs) == (batch, epochs)


def test_a_batch_never_holds_more_images_than_there_are() -> None:
    assert recipe_for(10, epochs=None, seed=1, flip=True).batch_for(10) == 10
