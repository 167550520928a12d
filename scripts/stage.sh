# shellcheck shell=bash disable=SC2034,SC2154
# A whole Portside on this machine for a demonstration: a throw-away PostgreSQL
# with sample data, a control plane, agents. Sourced by quickstart and tour,
# behind lib.sh. Everything listens on loopback, on free ports, lives in $dir,
# and ends with the script that sources this (finish).

regions=(eu-west us-east)
build=$root/build/release
agent_args=() # besides those that all agents have
pids=()       # of what was started, in the order of starting
dir=''

# ------------------------------------------------------------- ending

# Ends in the reverse order: the agents say goodbye to the control plane. A
# child that does not end within ten seconds is killed.
end_all() {
    local i pid signal n
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        pid=${pids[i]}
        signal=TERM
        [[ $pid == "${postgres_pid:-}" ]] && signal=INT # do not wait for clients
        kill -"$signal" "$pid" 2>/dev/null || continue
        for ((n = 0; n < 100; n++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}

finish() {
    local rc=$?
    trap - EXIT
    trap '' INT TERM HUP
    stop_ticker
    if [[ $rc -ne 0 && $rc -lt 128 && -n $dir ]]; then
        printf '\n%sThe %s failed; the ends of the logs:%s\n' "$red" \
            "$(basename "$0")" "$plain"
        local log
        for log in "$dir"/*.log; do
            [[ -s $log ]] || continue
            printf '\n%s--- %s%s\n' "$bold" "$(basename "$log")" "$plain"
            tail -n 25 "$log"
        done
    fi
    end_all
    [[ -z $dir ]] || rm -rf "$dir"
    exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ------------------------------------------------------------- starting

# start NAME COMMAND...: in the background, output to NAME.log; sets started.
start() {
    local name=$1
    shift
    "$@" >"$dir/$name.log" 2>&1 &
    started=$!
    pids+=("$started")
}

# wait_line NAME PATTERN: until its log has such a line (then printed).
wait_line() {
    local name=$1 pattern=$2 n
    for ((n = 0; n < 300; n++)); do
        # (Its shell may not have made the log yet.)
        grep -s -E -m 1 "$pattern" "$dir/$name.log" && return 0
        kill -0 "$started" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

find_postgres() {
    local bin
    for bin in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V -r); do
        if [[ -x $bin/postgres && -x $bin/initdb ]]; then
            echo "$bin"
            return
        fi
    done
    return 1
}

# PostgreSQL does not run as root.
as_database() {
    if [[ $(id -u) -eq 0 ]]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups \
            env HOME="$dir/pg" "$@"
    else
        "$@"
    fi
}

# It cannot choose a free port by itself: tries some.
start_postgres() {
    local bin data=$dir/pg/data try
    bin=$(find_postgres) || fail 'no PostgreSQL server is installed'
    mkdir -m 700 "$dir/pg"
    printf '%s' "$owner_password" >"$dir/pg/password"
    [[ $(id -u) -ne 0 ]] || chown -R postgres: "$dir/pg"
    as_database "$bin/initdb" -D "$data" -U owner --pwfile "$dir/pg/password" \
        -A scram-sha-256 -E UTF8 --locale C --no-sync >"$dir/initdb.log" 2>&1
    rm "$dir/pg/password"
    for ((try = 0; try < 30; try++)); do
        pg_port=$((20000 + RANDOM % 12000))
        : >"$dir/postgres.log"
        if [[ $(id -u) -eq 0 ]]; then
            start postgres setpriv --reuid=postgres --regid=postgres \
                --clear-groups "$bin/postgres" -D "$data" \
                -c listen_addresses=127.0.0.1 -c port="$pg_port" \
                -c unix_socket_directories= -c fsync=off
        else
            start postgres "$bin/postgres" -D "$data" \
                -c listen_addresses=127.0.0.1 -c port="$pg_port" \
                -c unix_socket_directories= -c fsync=off
        fi
        postgres_pid=$started
        if wait_line postgres 'ready to accept connections' >/dev/null; then
            return 0
        fi
        wait "$started" 2>/dev/null || true
        unset 'pids[-1]'
        grep -q 'Address already in use' "$dir/postgres.log" || return 1
    done
    return 1
}

sample_data() {
    PGPASSWORD=$owner_password "$(find_postgres)/psql" -q -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$pg_port" -U owner -d postgres \
        -v password="$DEMO_PASSWORD" >"$dir/sample.log" 2>&1 <<'SQL'
create role demo login password :'password';
create database shop owner demo;
\c shop
set role demo;
create table products (
    id    int primary key,
    name  text not null,
    price numeric(8,2) not null,
    stock int not null
);
create table orders (
    id         bigint generated always as identity primary key,
    product_id int not null references products,
    quantity   int not null,
    ordered_at timestamptz not null default now()
);
insert into products
select i, 'Product ' || i, (i * 37 % 9900) / 100.0 + 1, i * 7 % 500
from generate_series(1, 5000) i;
insert into orders (product_id, quantity)
select i * 31 % 5000 + 1, i % 9 + 1 from generate_series(1, 200000) i;
create index on orders (product_id);
analyze;
SQL
}

start_control_plane() {
    start controlplane "$build/bin/portside-controlplane" \
        --data-dir "$dir/controlplane" --listen-api 127.0.0.1:0 \
        --listen-calls 127.0.0.1:0 --listen-events 127.0.0.1:0 --listen-admin 127.0.0.1:0 \
        --public-host 127.0.0.1
    wait_line controlplane '^ready' >/dev/null
    local api
    api=$(sed -E 's/.*"api":([0-9]+).*/\1/' "$dir/controlplane/ports.json")
    url=https://127.0.0.1:$api
}

start_agent() {
    local region=$1 token
    token=$(psctl --quiet agent join-token --region "$region")
    "$build/bin/portside-agent" enroll "$token" --dir "$dir/$region" \
        --name "$region-1" >"$dir/enroll-$region.log" 2>&1
    start "agent-$region" "$build/bin/portside-agent" run --dir "$dir/$region" \
        --listen 127.0.0.1:0 --listen-admin 127.0.0.1:0 "${agent_args[@]}"
    wait_line "agent-$region" '^ready http' >/dev/null
}

# Until the control plane counts both.
wait_connected() {
    local n
    for ((n = 0; n < 200; n++)); do
        psctl status | grep -q "^agents .* ${#regions[@]} connected" && return 0
        sleep 0.1
    done
    return 1
}

build_programs() {
    cmake -S "$root" -B "$build" --preset release &&
        cmake --build "$build" --target portside-controlplane portside-agent psctl
}

# make_dir NAME: where everything lives; passwords; psctl's own file of logins.
make_dir() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/portside-$1.XXXXXX")
    chmod 755 "$dir" # PostgreSQL's user goes through it
    export PATH=$build/bin:$PATH PSCTL_CONFIG=$dir/psctl.json
    unset PORTSIDE_URL PORTSIDE_TOKEN PORTSIDE_CA PORTSIDE_CONTEXT
    owner_password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    DEMO_PASSWORD=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
    export PORTSIDE_DB_PASSWORD=$DEMO_PASSWORD
}

# Prints a command as it would be typed, then runs it.
show() {
    local word
    printf '\n%s$' "$bold"
    for word in "$@"; do
        if [[ $word =~ ^[A-Za-z0-9_./:=-]+$ ]]; then
            printf ' %s' "$word"
        else
            printf " '%s'" "$word"
        fi
    done
    printf '%s\n' "$plain"
    "$@"
}

