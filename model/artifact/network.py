"""The network of an artifact: its weights, loaded into the class that its manifest names."""

from typing import Any

from transformers.utils.logging import disable_progress_bar

from model.artifact.artifact import NETWORK_CONFIG, SHRUNK, WEIGHTS, Artifact
from model.networks import NETWORKS, network_class
from model.networks.network import Network


def load_network(artifact: Artifact) -> Network:
    """Load the network in eval mode; raises ``ArtifactError`` if the weights do not fit."""
    if (shrunk := artifact.manifest.made.get(SHRUNK)) is not None:
        raise artifact.error(
            "is shrunken: it has a graph for the onnx engine and no weights; use that engine, or "
            f"the artifact {shrunk['from']} that it was made from"
        )
    for name in (NETWORK_CONFIG, WEIGHTS):
        artifact.path(name)
    if artifact.config.network not in NETWORKS:
        raise artifact.error(
            f"network is {artifact.config.network!r}, this Lately has {', '.join(NETWORKS)}; "
            "install the Lately that made it"
        )
    disable_progress_bar()  # type: ignore[no-untyped-call]  # loading takes under a second
    try:
        loaded: Any = network_class(artifact.config.network).from_pretrained(
            artifact.folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise artifact.error(
            f"{WEIGHTS} does not fit {NETWORK_CONFIG} ({error}); export the artifact again"
        ) from None
    network: Network = loaded[0]
    # The library initialises missing weights at random and only logs it.
    for problem, names in loaded[1].items():
        if names:
            raise artifact.error(
                f"{WEIGHTS} has {problem.replace('_', ' ')} {sorted(names)[:3]}, expected those of "
                f"{NETWORK_CONFIG}; export the artifact again"
            )
    loaded[0].train(False)
    return network
