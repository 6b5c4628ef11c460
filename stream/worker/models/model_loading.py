"""Model loading: opens the artifact that the settings name, tests it, and warms it up."""

from collections.abc import Sequence

import structlog

from model import serving
from model.errors import OptionsError
from model.scorer import Vocabulary
from model.serving.options import ItemList, ScoringOptions
from model.serving.throughput import SIZES, Measurable, choose_cap, measure_service_curve
from stream.errors import SettingsError
from stream.pipeline.batcher import BatchPolicy
from stream.pipeline.scoring import try_out
from stream.settings import WorkerSettings
from stream.worker.models.accepted_actions import AcceptedActions
from stream.worker.models.batch_size import MeasuredBatchSize
from stream.worker.models.model_reload import Model

MAX_BATCH_USERS = 5000
TRIED_USERS = 64  # synthetic users that a model must score validly before it serves
_log = structlog.get_logger(__name__)


def load_model(settings: WorkerSettings, accepted: AcceptedActions) -> Model:
    """The model in the artifact now, tested and warm; raises if anything is wrong with it."""
    scorer = load_scorer(settings)
    accepted.fit(scorer.vocabulary.actions)
    warn_of_misfits(scorer.vocabulary, accepted.names, settings.sequence_length)
    try_out(scorer, scorer.sample(TRIED_USERS))
    return Model(scorer, _batch_policy(settings, scorer))


def warn_of_misfits(known: Vocabulary, accepted: Sequence[str], sequence_length: int) -> None:
    """Log what a model predicts or reads in vain here: nothing that forbids to serve it."""
    if unseen := known.unseen_intents(accepted):
        _log.warning(
            "the model predicts intents whose actions this worker does not accept, so that it "
            "never sees them happen; --actions accepts them",
            intents=", ".join(unseen),
        )
    if known.window is not None and known.window > sequence_length:
        _log.warning(
            "the model reads more actions of a user than this worker keeps, so its scores are of "
            "less than it was trained on; raise --sequence-length",
            window=known.window,
            sequence_length=sequence_length,
        )


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


def _batch_policy(settings: WorkerSettings, scorer: Measurable) -> BatchPolicy:
    memory = MeasuredBatchSize(settings, scorer.info)
    users = settings.batch_users or memory.find()
    if users is None or scorer.info.device != "cpu":  # what else a device is, the memory lacks
        measured = choose_cap(measure_service_curve(scorer))
        memory.remember(measured)
        users = settings.batch_users or measured
    else:
        for size in (1, min(users, SIZES[-1])):  # the first run of a size allocates
            scorer.score(scorer.sample(size))
    return BatchPolicy(users, max(users, MAX_BATCH_USERS), settings.batch_deadline_ms / 1000)
