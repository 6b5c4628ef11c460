#!/bin/sh
# Grants each role the least permissions it needs in Kafka, as access control lists.
#
#   acls.sh ROLE PRINCIPAL      ROLE: worker, producer, consumer, eraser, mender, trainer, topics
#   acls.sh worker User:lately
#
# `worker` is for `lately worker`; `producer` for senders of events, including `lately replay`;
# `consumer` for readers of scores, including `lately watch`; `eraser` for `lately forget`; `mender` for
# `lately dead`; `trainer` for `lately export`; `topics` for `lately topics --create`. Run it again for another principal. Granting
# twice is harmless; nothing is revoked.
#
# BOOTSTRAP       broker to talk to (localhost:9092)
# COMMAND_CONFIG  client settings of an administrator (none)
# KAFKA_ACLS      the program (kafka-acls.sh); `echo` prints the commands
# LATELY_EVENTS_TOPIC, LATELY_SCORES_TOPIC, LATELY_DEAD_TOPIC, LATELY_RECEIPTS_TOPIC and
# LATELY_GROUP, as for the worker
set -euf # -f: a class path may contain a star

events=${LATELY_EVENTS_TOPIC:-lately.events}
scores=${LATELY_SCORES_TOPIC:-lately.scores}
dead=${LATELY_DEAD_TOPIC:-lately.events.dead}
receipts=${LATELY_RECEIPTS_TOPIC:-lately.receipts}
group=${LATELY_GROUP:-lately}
changelog=$group-state-changelog

usage() {
    echo "acls.sh: $1; usage: acls.sh worker|producer|consumer|eraser|mender|trainer|topics User:NAME" >&2
    exit 2
}

[ $# -eq 2 ] || usage "found $# arguments, expected 2"
role=$1 principal=$2
case $principal in User:?*) ;; *) usage "the principal $principal does not begin with User:" ;; esac

allow() { # OPERATIONS (comma separated) RESOURCE…: literal names, so that no other topic matches
    operations=$1
    shift
    for operation in $(echo "$operations" | tr , ' '); do set -- "$@" --operation "$operation"; done
    # KAFKA_ACLS may be a program with arguments.
    ${KAFKA_ACLS:-kafka-acls.sh} --bootstrap-server "${BOOTSTRAP:-localhost:9092}" \
        ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} --add \
        --allow-principal "$principal" --resource-pattern-type literal "$@"
}

case $role in
worker)
    # Read implies Describe; DescribeConfigs is for checking cleanup.policy and message sizes.
    allow Read,DescribeConfigs --topic "$events"
    allow Write,DescribeConfigs --topic "$dead" --topic "$receipts"
    # It also reads its own output: it must notice late writes of a worker that was cut off.
    allow Read,Write,DescribeConfigs --topic "$scores" --topic "$changelog"
    allow Read --group "$group"
    ;;
producer) allow Write --topic "$events" ;;
consumer) allow Read --topic "$scores" ;; # no group permission: `lately watch` joins none
eraser)
    allow Write --topic "$events"
    allow Read --topic "$receipts"
    ;;
mender)
    allow Write --topic "$events"
    allow Read --topic "$dead"
    ;;
trainer) allow Read --topic "$events" ;;
topics)
    set -- --topic "$events" --topic "$scores" --topic "$dead" --topic "$receipts"
    allow Create,Describe,DescribeConfigs "$@" --topic "$changelog"
    ;;
*) usage "no role $role" ;;
esac
