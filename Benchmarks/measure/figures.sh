# shellcheck shell=bash disable=SC2154  # scripts/bench sets work, round
# Running the programs, and keeping the figures that they print as lines `NAME VALUE UNIT`.

# Runs a program whose words go to a log; when it fails, says so with the last of them.
run() {
  local name=$1
  shift
  "$@" >"$work/output" 2>"$work/errors" && return 0
  tail -n 20 "$work/output" "$work/errors" >&2
  fail "$name failed."
}

# Notes a figure of this round: NAME VALUE UNIT.
note() { printf '%s %s %s %s\n' "$round" "$@" | tee -a "$work/figures" >&2; }

# Notes the line of that name of the last run's output, under another name if one is given.
note_line() {
  local line value unit
  line=$(grep -m 1 -E "^$1 [0-9.]+ [^ ]+$" "$work/output") || fail "no figure $1 was printed."
  read -r _ value unit <<<"$line"
  note "${2:-$1}" "$value" "$unit"
}

# Prints the value of that line of the last run's output.
value_of() {
  local line
  line=$(grep -m 1 -E "^$1 [0-9.]+ [^ ]+$" "$work/output") || fail "no figure $1 was printed."
  line=${line#* }
  printf '%s\n' "${line% *}"
}

# Reckons with decimals: prints the value of an expression of awk.
reckon() { awk "BEGIN { print $1 }"; }

# Looks at the log that was just written: it has the log's indexes, its positions are 1, 2, 3 … ;
# the mean size of its commits becomes NAME.bytes, if a name is given.
inspect_log() {
  run scan "$programs/scan" "$uri"
  [[ $# -eq 0 ]] || note_line log.commit_bytes "$1.bytes"
}

# Walks the log as `magasin verify` does: versions, command ids and the hash chain too.
verify_log() { run 'magasin verify' "$magasin" verify --mongodb "$uri"; }

# Prints the most memory in MB that a process has had; nothing when it is gone.
peak_memory() {
  awk '$1 == "VmHWM:" { printf "%d\n", $2 / 1024 }' "/proc/$1/status" 2>/dev/null || true
}
