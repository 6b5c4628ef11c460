"""The chaos harness: real faults against real workers on a real Kafka, judged by the oracle.

``make chaos`` runs every fault on five seeds; ``make chaos SEED=7 FAULT=broker-restart`` one run
again. See ``docs/reliability.md`` for what was found.
"""
