# The steps of .ci/run: each is timed, some run side by side, and all of them end when the run does.
# shellcheck shell=bash

logs=$(mktemp -d)
declare -A running=() # the name of a step by its process group
table=() # a line for each step that has ended
failed=()

step() { # NAME COMMAND...: run it while nothing else runs
    printf '\n=== %s\n' "$1"
    begin 1 "$@"
    end_one
    stop_if_failed
}

beside() { # NAME COMMAND...: run it in the background; `join` prints its output when it has ended
    local log
    printf '... %s\n' "$1"
    exec {log}>"$logs/$1"
    begin "$log" "$@"
    exec {log}>&-
}

join() { # wait for every step that runs
    while [ "${#running[@]}" != 0 ]; do
        end_one
    done
    stop_if_failed
}

begin() { # DESCRIPTOR NAME COMMAND...
    local output=$1 name=$2
    shift 2
    set -m # gives it a process group of its own
    (
        set +m -e
        SECONDS=0
        trap 'echo "$SECONDS" >"$logs/$name.seconds"' EXIT
        "$@"
    ) </dev/null >&"$output" 2>&1 &
    set +m
    running[$!]=$name
}

end_one() { # wait for whichever step ends first
    local group name status=0 log
    wait -n -p group "${!running[@]}" || status=$?
    name=${running[$group]} log=$logs/$name
    unset "running[$group]"
    [ ! -e "$log" ] || { printf '\n=== %s\n' "$name" && cat "$log"; }
    table+=("$(printf '%6d s  %s' "$(cat "$log.seconds")" "$name")")
    printf -- '--- %s\n' "${table[-1]}"
    [ "$status" = 0 ] || failed+=("$name")
}

stop_if_failed() {
    [ "${#failed[@]}" = 0 ] || { printf 'failed: %s\n' "${failed[@]}" >&2; exit 1; }
}

end_all() { # print the times; end what still runs, in ten seconds at most
    local group left=100
    printf '\n'
    [ "${#table[@]}" = 0 ] || printf '%s\n' "${table[@]}"
    printf '%6d s  in all\n' "$SECONDS"
    for group in "${!running[@]}"; do
        kill -TERM -- "-$group" 2>/dev/null || continue
        while kill -0 -- "-$group" 2>/dev/null && ((left-- > 0)); do sleep 0.1; done
        kill -KILL -- "-$group" 2>/dev/null || true
    done
    rm -rf "$logs"
}
trap end_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
