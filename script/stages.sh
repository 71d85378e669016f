# stages.sh - what script/test and script/check share; to be sourced.
#
# A stage is a named command. All stages run, also after one has failed; the
# end is a table and the line `N passed, N failed[, N skipped]`, which adds up
# the results of cmocka and mocha and counts every other stage as one test.

passed=0
failed=0
skipped=0
table=()
broken=() # the names of stages that failed
stage_log=$(mktemp)
mocha_counts=$(mktemp)
failures=$(mktemp) # a line for each of mocha's
trap 'rm -f "$stage_log" "$mocha_counts" "$failures"' EXIT

# stage NAME COUNTER COMMAND...: COUNTER is one of one, cmocka, mocha.
stage() {
  local name=$1 counter=$2 start=$SECONDS status=0 p=0 f=0 s=0
  shift 2
  printf '\n== %s\n' "$name"
  : >"$mocha_counts"
  set +e
  (set -e; "$@") 2>&1 | tee "$stage_log"
  status=${PIPESTATUS[0]}
  set -e
  case "$counter" in
    cmocka) read -r p f s < <(count_cmocka) ;;
    mocha) read -r p f s < <(count_mocha) ;;
    one) if [ "$status" = 0 ]; then p=1; else f=1; fi ;;
  esac
  # A crash, or a run of nothing, is a failure too.
  if [ "$f" = 0 ] && { [ "$status" != 0 ] || [ "$((p + s))" = 0 ]; }; then f=1; fi
  passed=$((passed + p))
  failed=$((failed + f))
  skipped=$((skipped + s))
  if [ "$f" != 0 ]; then broken+=("$name"); fi
  if [ "$counter" = mocha ]; then sed 1d "$mocha_counts" >>"$failures"; fi
  table+=("$(printf '%-28s %6d passed %4d failed %4d skipped %5d s' "$name" "$p" "$f" "$s" $((SECONDS - start)))")
}

count_cmocka() {
  awk '
    /^\[  PASSED  \] [0-9]+ test/ { p += $4 }
    /^\[  FAILED  \] [0-9]+ test/ { f += $4 }
    /^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
    END { print p + 0, f + 0, s + 0 }' "$stage_log"
}

# Written by tools/mocha-files.js when all has ended.
count_mocha() {
  if [ -s "$mocha_counts" ]; then head -n 1 "$mocha_counts"; else echo 0 0 0; fi
}

# The C tests' make; werror is the caller's.
c() { make -s -C test/c -j2 WERROR="${werror-}" "$@"; }

# fuzz NAMES SECONDS: fails where there is nothing to fuzz.
fuzz() {
  compgen -G "test/c/fuzz_$1.c" >/dev/null || { echo "no test/c/fuzz_$1.c"; return 1; }
  c fuzz T="$1" FUZZ_SECONDS="$2"
}

# What npm packs, and how others will read it: require(), import, TypeScript.
package() {
  node tools/check-package.js
  node_modules/.bin/publint --strict
  node_modules/.bin/attw --pack . --format ascii
}

# index.d.ts, compiled against its uses by two versions of the compiler.
types() {
  node_modules/.bin/tsc --noEmit --strict --target es2022 --lib es2022,esnext.disposable --module node16 \
    --types node index.d.ts test/types/*.ts
  node_modules/.bin/tsd
}

# The files and folders of tests in $@, or all.
mocha() { ALKNET_MOCHA_COUNTS=$mocha_counts node tools/mocha-files.js "$@"; }

# The tests of the API, of streams and of exits, in another Node and all its children.
mocha_in() { PATH=$(dirname "$1"):$PATH mocha test --exclude soak/ --exclude interop/ --exclude hostile/ --exclude attack/; }

# mocha_in() as stages, for each Node of ALKNET_NODES; $1 is what to call: stage, or maybe.
other_nodes() {
  local node nodes
  IFS=: read -r -a nodes <<< "${ALKNET_NODES:-}"
  for node in ${nodes[@]+"${nodes[@]}"}; do
    "$1" "mocha in Node $("$node" -p process.versions.node)" mocha mocha_in "$node"
  done
}

finish() {
  printf '\n== result\n'
  if [ "${#table[@]}" = 0 ]; then echo 'no stage of that name'; exit 2; fi
  printf '%s\n' "${table[@]}"
  if [ -s "$failures" ]; then printf '\n'; head -n 60 "$failures"; fi
  if [ "${#broken[@]}" != 0 ]; then printf '\nfailed:%s\n' "$(printf ' %s;' "${broken[@]}" | sed 's/;$//')"; fi
  if [ "$skipped" = 0 ]; then
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
  else
    printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  fi
  if [ "$failed" != 0 ]; then exit 1; fi
}
