"""Model loading: opens the artifact that the settings name, tests it, and warms it up."""

from model import serving
from model.errors import OptionsError
from model.serving.options import ItemList, ScoringOptions
from model.serving.throughput import SIZES, Measurable, choose_cap, measure_service_curve
from stream.errors import SettingsError
from stream.pipeline.batcher import BatchPolicy
from stream.pipeline.scoring import try_out
from stream.settings import WorkerSettings
from stream.worker.accepted_actions import AcceptedActions
from stream.worker.batch_size import MeasuredBatchSize
from stream.worker.model_reload import Model

MAX_BATCH_USERS = 5000
TRIED_USERS = 64  # synthetic users that a model must score validly before it serves


def load_model(settings: WorkerSettings, accepted: AcceptedActions) -> Model:
    """The model in the artifact now, tested and warm; raises if anything is wrong with it."""
    scorer = load_scorer(settings)
    accepted.fit(scorer.vocabulary.actions)
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
