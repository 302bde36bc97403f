#!/bin/bash
# Measures real shapes on a machine with a GPU and without Node or a network, from what pack.mjs made: graphs are unpacked, weights drawn, one model
# after the other measured. What a part that fails or takes too long has measured until then stays in $OUT.
#
#   N        the package as bench/gpu/pack.mjs packs it: node, dist, prebuilt, node_modules     (/tmp/w/sada-gpu)
#   OUT      folder for shapes-<name>.json and logs                                             (./out)
#   MODELS   "name:seconds at most" of each model, in order                                     (sdxl:90 sd2:60 flux:150)
#   DEVICE   cuda, or cpu to try the script                                                     (cuda)
#   ROUNDS, WARM_UP, STEPS, MORE: of shapes.ts; STEPS and MORE hold for every model
set -u
here=$(cd "$(dirname "$0")" && pwd)
N=${N:-/tmp/w/sada-gpu} OUT=${OUT:-$here/out} DEVICE=${DEVICE:-cuda} PYTHON=${PYTHON:-python3}
mkdir -p "$OUT" "$N/dist/shapes"
cp "$here/shapes.js" "$N/dist/shapes/"
commit=$(sed -n 's/.*SADA_COMMIT=\([0-9a-f]*\).*/\1/p' "$N/verify" 2>/dev/null)
[ -n "$commit" ] && export SADA_COMMIT=$commit

# Memory, where there is enough of it for the largest model, is faster than a disk.
room=$(df -Pk /dev/shm 2>/dev/null | awk 'END { print int($4 / 1048576) }')
[ "${room:-0}" -ge 36 ] && place=/dev/shm || place=${TMPDIR:-/tmp}
work=$(mktemp -d "$place/sada-shapes.XXXXXX")
trap 'rm -rf "$work"' EXIT

seconds() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }
began=$EPOCHREALTIME
tell() { echo "$(seconds "$began") s  $*" | tee -a "$OUT/run.log"; }

tar xJf "$here/folders.tar.xz" -C "$work"
tell "unpacked into $work"

# measure NAME LIMIT OPTION …: one model; results after its passes, and again after its runs.
measure() {
  local name=$1 limit=$2 from=$EPOCHREALTIME
  # shellcheck disable=SC2086 -- a list of options
  timeout -k 5 "$limit" "$N/node" "$N/dist/shapes/shapes.js" "$name" --folder "$work" --device "$DEVICE" --rounds "${ROUNDS:-4}" \
    --warm-up "${WARM_UP:-1}" --json "$OUT/shapes-$name.json" "${@:3}" ${MORE:-} >/dev/null 2>>"$OUT/shapes-$name.log"
  local status=$?
  tell "$name ${*:3}: measuring ended with $status after $(seconds "$from") s"
  return $status
}

for each in ${MODELS:-sdxl:90 sd2:60 flux:150}; do
  name=${each%%:*} limit=${each##*:} log=$OUT/shapes-${each%%:*}.log from=$EPOCHREALTIME
  timeout -k 5 "$limit" "$PYTHON" "$here/fill.py" "$work/$name" >"$log" 2>&1
  tell "$name: weights ended with $? after $(seconds "$from") s"
  case $name in
    sdxl) measure sdxl "$limit" --guidance 5 --steps "${STEPS:-50}" ;;
    # Two rows of attention between 9216 tokens may be more than the GPU has.
    sd2)
      measure sd2 "$limit" --guidance 7.5 --steps "${STEPS:-50}" || [ -e "$OUT/shapes-sd2.json" ] ||
        measure sd2 "$limit" --guidance 1 --steps "${STEPS:-50}"
      ;;
    *) measure "$name" "$limit" --steps "${STEPS:-28}" ;;
  esac
  grep -E ' GB/s|loaded|measured|rror' "$log" | tee -a "$OUT/run.log"
  rm -rf "${work:?}/$name"
done
tell 'done'
