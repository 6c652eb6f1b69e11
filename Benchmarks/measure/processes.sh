# shellcheck shell=bash disable=SC2154  # scripts/bench sets root, work, programs, magasin
# The processes that a measurement needs: one mongod for all, servers for each.

processes=() # of those that run in the background now

# Ends them all, the last started first.
end_processes() {
  local i
  for ((i = ${#processes[@]} - 1; i >= 0; i--)); do
    kill -TERM "${processes[i]}" 2>/dev/null || true
    wait "${processes[i]}" 2>/dev/null || true
  done
  processes=()
}

free_port() {
  python3 -c 'import socket
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1])'
}

start_mongod() {
  mkdir -p .magasin
  work=$(mktemp -d "$root/.magasin/bench.XXXXXX")
  local mongod_port
  mongod_port=$(free_port)
  scripts/mongod start --data "$work/mongodb" --port "$mongod_port" >&2
  "$programs/database" "mongodb://127.0.0.1:$mongod_port/bench?directConnection=true" \
    initiate "127.0.0.1:$mongod_port"
  uri="mongodb://127.0.0.1:$mongod_port/bench?replicaSet=rs0"
  uri+="&w=majority&journal=true&wtimeoutMS=4000"
  uri+="&readConcernLevel=majority&readPreference=primary&retryWrites=true&retryReads=true"
  uri+="&serverSelectionTimeoutMS=5000&connectTimeoutMS=2000&socketTimeoutMS=8000"
  uri+="&heartbeatFrequencyMS=1000&maxPoolSize=64&waitQueueTimeoutMS=1000"
}

drop_database() { run drop "$programs/database" "$uri" drop; }

# Starts `magasin VERB …` on a port of its own and waits until it is ready; sets `port` and `pid`.
start_magasin() {
  local verb=$1 waited
  port=$(free_port)
  "$magasin" "$@" --host 127.0.0.1 --port "$port" --mongodb "$uri" \
    >"$work/$verb.log" 2>&1 </dev/null &
  pid=$!
  processes+=("$pid")
  for ((waited = 0; waited < 300; waited++)); do
    curl --silent --fail --output /dev/null "http://127.0.0.1:$port/health/ready" && return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$work/$verb.log" >&2
  fail "magasin $verb was not ready within 30 s."
}

# Runs a program as `run` does and keeps an eye on its memory; sets `peak`, in MB.
run_watching_memory() {
  local name=$1 seen
  shift
  "$@" >"$work/output" 2>"$work/errors" </dev/null &
  local watched=$!
  processes+=("$watched")
  peak=0
  while kill -0 "$watched" 2>/dev/null; do
    seen=$(peak_memory "$watched")
    peak=${seen:-$peak}
    sleep 0.2
  done
  wait "$watched" || { tail -n 20 "$work/output" "$work/errors" >&2; fail "$name failed."; }
  unset 'processes[-1]'
}
