#!/bin/sh
# Trains on the newest month of the events topic, and lets the model serve if it is the better one.
#
#   nightly.sh MODELS [OPTION OF `lately train`]…
#   15 3 * * *  LATELY_BOOTSTRAP=kafka:9092 nightly.sh /var/lib/lately/models --items /etc/items.csv
#
# MODELS/serving is a symbolic link, and what the workers have as --artifact: they take a new model
# into service without a restart. The new model is not trained on the newest day, and neither was
# that of an earlier night; both are asked about that day, and the one with the higher MRR@20 serves.
# If anything fails, the link stays as it is.
#
# DAYS (30) to export, HOURS (24) of them to compare on. Other settings are LATELY_…, as for a worker.
set -eu

[ $# -ge 1 ] || { echo "nightly.sh: name the folder of the models" >&2; exit 2; }
models=$1
shift
days=${DAYS:-30}
hours=${HOURS:-24}
name=$(date -u +%Y-%m-%dT%H%M%SZ)

# Beside the models, so that the new one is moved at once. It holds what shoppers did: gone in the end.
work=$(mktemp -d "$models/.nightly-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# As the workers, which accept what the model that serves knows; LATELY_ACTIONS wins.
[ ! -e "$models/serving" ] || export LATELY_ARTIFACT="$models/serving"

lately export --since "${days}d" --until "${hours}h" --out "$work/past"
lately export --since "${hours}h" --out "$work/newest"
lately train "$work"/past/*.jsonl --out "$work/model" --name "$name" "$@"

mrr() { # ARTIFACT: of its lists, over everything that was clicked next on the newest day
    lately evaluate "$1" "$work"/newest/*.jsonl --json "$work/figures.json" >/dev/null
    python3 -c '
import json, sys
with open(sys.argv[1]) as figures:
    of_model, *of_baselines = json.load(figures)["items"]["all"].values()
print(of_model["mrr@20"])' "$work/figures.json"
}

new=$(mrr "$work/model")
if [ -e "$models/serving" ]; then
    old=$(mrr "$models/serving")
    if ! awk "BEGIN { exit !($new > $old) }"; then
        echo "the model that serves stays: its MRR@20 is $old, that of $name $new"
        exit
    fi
    echo "$name serves: its MRR@20 is $new, that of the model before it $old"
else
    echo "$name serves: its MRR@20 is $new, and no model served before it"
fi
mv "$work/model" "$models/$name"
ln -s "$name" "$work/serving"
mv -T "$work/serving" "$models/serving"
