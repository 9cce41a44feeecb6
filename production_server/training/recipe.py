"""How a classifier is fitted: the numbers of a training, and which of them follow from the number of images."""

from __future__ import annotations

from dataclasses import dataclass, field

FEWEST_STEPS = 2000
"""Below these a network that starts from nothing learns little; small collections get more epochs instead."""
MOST_EPOCHS = 150
SMALLEST_BATCH, LARGEST_BATCH = 16, 128


@dataclass(frozen=True)
class Augmentation:
    """Which random changes are made to training images; sides are shares of the image's area."""

    flip: bool = True
    shift: float = 0.08
    """The farthest shift, as a share of the shorter side (2 pixels of 28)."""
    erase_probability: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.25)


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum; the learning rate rises linearly, then falls to zero like a cosine."""

    epochs: int
    seed: int = 1
    batch: int = LARGEST_BATCH
    peak_learning_rate: float = 0.1
    """For a batch of 128; scaled linearly for other sizes."""
    warm_up: float = 0.15
    """The share of all steps in which the learning rate rises; more than 0."""
    momentum: float = 0.9
    weight_decay: float = 5e-3
    """Decoupled, on kernels only; with the momentum it acts like an L2 penalty of a tenth of it."""
    label_smoothing: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def batch_for(self, images: int) -> int:
        """The batch size for that many training images."""
        return min(self.batch, images)


def recipe_for(images: int, *, epochs: int | None, seed: int, flip: bool) -> Recipe:
    """A recipe for a collection of `images` training images; `epochs` None takes enough of them for its size."""
    batch = min(max(images // 16, SMALLEST_BATCH), LARGEST_BATCH)
    steps = max(images // batch, 1)
    enough = min(max(-(-FEWEST_STEPS // steps), 30), MOST_EPOCHS)
    return Recipe(epochs=epochs or enough, seed=seed, batch=batch, augmentation=Augmentation(flip=flip))
