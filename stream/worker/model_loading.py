"""Model loading: opens the artifact that the settings name, tests it, and warms it up."""

import structlog

from model import serving
from model.errors import OptionsError
from model.serving.options import ItemList, ScoringOptions
from model.serving.throughput import Measurable, choose_cap, measure_service_curve
from stream.errors import SettingsError
from stream.pipeline.batcher import BatchPolicy
from stream.pipeline.scoring import try_out
from stream.settings import WorkerSettings
from stream.worker.model_reload import Model

_log = structlog.get_logger(__name__)
MAX_BATCH_USERS = 5000
TRIED_USERS = 64  # synthetic users that a model must score validly before it serves


def load_model(settings: WorkerSettings) -> Model:
    """The model in the artifact now, tested and warm; raises if anything is wrong with it."""
    scorer = load_scorer(settings)
    check_actions(settings, scorer.vocabulary.actions)
    try_out(scorer, scorer.sample(TRIED_USERS))
    return Model(scorer, _batch_policy(settings, scorer))


def load_scorer(settings: WorkerSettings) -> Measurable:
    """The scorer of the artifact, with its options; raises SettingsError, ArtifactError."""
    allowed, blocked = settings.allowed_items, settings.blocked_items
    try:
        options = ScoringOptions(
            exclude_seen=settings.exclude_seen,
            allowed_items=None if allowed is None else ItemList.read(allowed),
            blocked_items=None if blocked is None else ItemList.read(blocked),
            max_per_category=settings.max_per_category,
            diversity=settings.diversity,
            recency_temperature=settings.recency_temperature,
            user_vector=settings.user_vector,
        )
        return serving.load_scorer(settings.artifact, settings.scorer, settings.device, options)
    except OptionsError as error:
        raise SettingsError(str(error)) from None


def check_actions(settings: WorkerSettings, known: frozenset[str] | None) -> None:
    """Raise SettingsError if the model knows none of the accepted actions; warn of each it lacks.

    ``known`` are the model's actions; None: it takes any.
    """
    if known is None:
        return
    unknown = [action for action in settings.actions if action not in known]
    if len(unknown) == len(settings.actions):
        raise SettingsError(
            f"actions: the worker accepts {', '.join(settings.actions)}, but the model in "
            f"{settings.artifact} knows only {', '.join(sorted(known))}; set --actions or "
            "LATELY_ACTIONS to what the model was trained on, or train it on what the worker gets"
        )
    if unknown:
        _log.warning("the model does not know every accepted action", unknown=", ".join(unknown))


def _batch_policy(settings: WorkerSettings, scorer: Measurable) -> BatchPolicy:
    # Measured even when batch_users is given, because it warms up the model.
    curve = measure_service_curve(scorer)
    users = settings.batch_users or choose_cap(curve)
    return BatchPolicy(users, max(users, MAX_BATCH_USERS), settings.batch_deadline_ms / 1000)
