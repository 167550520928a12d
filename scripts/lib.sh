# shellcheck shell=bash disable=SC2034
# Shared by the scripts of this folder; sourced by bash.
#
#   say TEXT                  a line about what happens
#   step TITLE LOG COMMAND..  runs a command into LOG; every ten seconds a line
#                             tells how far it is; on failure shows the log's end
#   stop_ticker               for the EXIT trap of a script that uses step

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' dim='' red='' plain=''
fi

say() {
    printf '%s==>%s %s%s%s\n' "$dim" "$plain" "$bold" "$*" "$plain"
}

fail() {
    printf '%s%s: %s%s\n' "$red" "$(basename "$0")" "$*" "$plain" >&2
    exit 1
}

# The newest line of a log that says something, cut to fit: not what the
# test runner puts under each of its results.
last_line() {
    tail -c 4096 "$1" 2>/dev/null | tr '\r' '\n' |
        grep -vE '^[[:space:]]*(---|\.\.\.|duration_ms: .*|type: .*)?$' |
        tail -n 1 | cut -c 1-100
}

# Runs until it is killed; its sleep goes with it.
ticker() {
    local log=$1 begin=$SECONDS nap=''
    trap 'kill "$nap" 2>/dev/null; exit 0' TERM
    while kill -0 $$ 2>/dev/null; do
        sleep 10 &
        nap=$!
        wait "$nap" || exit 0
        printf '    %s%4ds  %s%s\n' "$dim" $((SECONDS - begin)) \
            "$(last_line "$log")" "$plain"
    done
}

clock='' # the ticker's pid
stop_ticker() {
    [[ -n $clock ]] || return 0
    kill "$clock" 2>/dev/null || true
    wait "$clock" 2>/dev/null || true
    clock=''
}

step() {
    local title=$1 log=$2 begin=$SECONDS rc=0
    shift 2
    say "$title"
    : >"$log"
    ticker "$log" &
    clock=$!
    "$@" >>"$log" 2>&1 || rc=$?
    stop_ticker
    if [[ $rc -ne 0 ]]; then
        printf '%s    failed after %ds; the end of %s:%s\n' "$red" \
            $((SECONDS - begin)) "$log" "$plain"
        tail -n 60 "$log" | sed 's/^/    /'
        return "$rc"
    fi
    printf '    %sdone in %ds%s\n' "$dim" $((SECONDS - begin)) "$plain"
}
