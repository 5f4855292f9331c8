"""The `train` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.config.base import PositiveInt, Probability, Section
from zoo.config.metrics import Metric

XLA = Literal["auto"] | bool
Warmup = Annotated[int, Field(ge=0)] | Annotated[float, Field(gt=0.0, lt=1.0)]

BETAS = {"adam": 0.999, "adamw": 0.999, "lion": 0.99}
"""Optimizers that have a beta_2, and what it is where a recipe says nothing."""


class Train(Section):
    """Optimisation, and how often what is written."""

    init_from: str | None = None
    """Run folder, recipe trained under runs/, or saved model with whose weights this one begins, wherever name
    and shape agree; it needs that run's tokenizer (tokenizer.name: pretrained). null: all weights are new."""
    steps: PositiveInt
    """Optimizer steps."""
    batch_tokens: PositiveInt
    """Padded tokens in a batch: target tokens of a translator, else input tokens."""
    accumulate: PositiveInt = 1
    """Batches in a step: their gradients are added up, as if they were one large batch that need not fit into
    memory at once. Steps, schedule, moving average and clipping count steps, not batches."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """What layers compute in while training; weights, logits and loss stay float32, and so does the trained model.
    bfloat16 and float16 are for hardware that has them. float16, of narrow range, multiplies the loss by a scale
    that adapts itself: a step whose gradients overflow is left out."""
    freeze: list[str] = []
    """Weights that stay as they are: beginnings of their paths inside the model, such as embedding or
    encoder/encoder_0, or patterns with * such as '*/attention/*'."""
    optimizer: Literal["adam", "adamw", "adafactor", "lion", "sgd"] = "adam"
    """Optimizer: adam; adamw, which has weight decay; adafactor, which keeps a row and a column instead of a whole
    second moment, and whose steps are parts of each weight's size; lion, which keeps one moment and steps by its
    sign (a learning rate 3 to 10 times below adam's); sgd."""
    learning_rate: Annotated[float, Field(gt=0.0)]
    """Highest learning rate, reached at the end of the warm-up."""
    schedule: Literal["constant", "inverse_sqrt", "linear", "cosine"] = "constant"
    """What the learning rate does after the warm-up: constant; inverse_sqrt falls with the root of the steps;
    linear and cosine fall to 0 at the last step."""
    warmup: Warmup = 0
    """Steps (or, below 1, the fraction of all steps) in which the learning rate rises from 0."""
    beta_2: Probability | None = None
    """Decay of the second moment of adam and adamw (null: 0.999), or of the moment that lion keeps (null: 0.99)."""
    momentum: Probability = 0.0
    """Share of the last step that sgd repeats."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Decoupled weight decay: each step takes learning rate x this share off every weight, biases and norms
    spared. For all optimizers but adam."""
    clip_norm: Annotated[float, Field(gt=0.0)] | None = 1.0
    """Largest norm of all gradients together, those of accumulated batches added up; null for none."""
    label_smoothing: Probability = 0.0
    """Share of the target's probability spread over the vocabulary."""
    ema: Probability = 0.0
    """Momentum of the moving average of the weights that is validated and kept; 0 for none."""
    xla: XLA = "auto"
    """Compile with XLA: auto (on with a GPU), true, false."""
    log_every: PositiveInt = 50
    """Steps between lines of metrics."""
    validate_every: PositiveInt = 500
    """Steps between validations."""
    save_every: PositiveInt = 500
    """Steps between saved states, from which the same command resumes."""
    keep: Annotated[int, Field(ge=0)] = 0
    """Weights of this many newest validations that stay in checkpoints/, for `zoo average`."""
    metric: Metric | None = None
    """Which figure of the validation decides the best checkpoint, and patience (default: bleu of a translator,
    loss of a language model or masked language model, else accuracy). Loss, perplexity and repetition_rate are
    good where they are low, all others where they are high."""
    patience: PositiveInt | None = None
    """Validations without a better figure after which training stops; null for never."""
    samples: Annotated[int, Field(ge=0)] = 4
    """Validation examples whose answers are printed at each validation."""
    skip_nonfinite: Annotated[int, Field(ge=0)] = 0
    """Batches of a run that may be left out because their loss or gradient is no number; the next one stops the
    run. 0: the first one stops it."""
    deterministic: bool = False
    """Only kernels that add up in the same order each time (TensorFlow's op determinism): slower, for a GPU, whose
    fast kernels do not. On a CPU two runs are equal without it."""

    @property
    def warmup_steps(self) -> int:
        """The warm-up in steps; a fraction is one of all steps."""
        return round(self.warmup * self.steps) if isinstance(self.warmup, float) else self.warmup
