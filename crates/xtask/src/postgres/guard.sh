# Starts PostgreSQL, says "ready", and stops it when standard input ends.
# Arguments: directory with the programs, directory for the data, port.
set -eu
binaries=$1
directory=$2
port=$3

finish() {
    status=$?
    trap - EXIT
    if [ -f "$directory/data/postmaster.pid" ]; then
        "$binaries/pg_ctl" --pgdata="$directory/data" --mode=immediate --wait stop >/dev/null 2>&1 || true
    fi
    if [ "$status" -ne 0 ]; then
        cat "$directory/log" "$directory/server.log" >&2 2>/dev/null || true
    fi
    cd /
    rm -rf "$directory"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

"$binaries/initdb" --pgdata="$directory/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C \
    --no-sync >"$directory/log" 2>&1

# The data is thrown away, so nothing has to survive a power cut.
"$binaries/pg_ctl" --pgdata="$directory/data" --log="$directory/server.log" --wait --timeout=60 start \
    --options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$directory \
-c max_connections=300 -c fsync=off -c full_page_writes=off" >>"$directory/log" 2>&1

echo ready
cat >/dev/null
