#!/usr/bin/env bash
# Rooms may include only downward: the table of docs/architecture.md as grep.
#
#   tools/check-includes.sh [root]      default: the tree this script is in
#
# Prints every include that is not allowed and fails. A room is a folder of
# csrc/. An include in quotes must name its room; one in angle brackets is free
# unless it belongs to a library that only some rooms may see.
set -euo pipefail
export LC_ALL=C

cd "${1:-$(dirname "$0")/..}"
bad=0

# Libraries that are somebody's business. Everything else in <> is libc.
guarded='<(uv(/|\.h)|openssl/|libssh/|libssh\.|node|js_native_api|v8|ngtcp2/|nghttp3/|zlib)'

# What a file may include, as one extended regular expression.
allowed() {
  local own_core='"core/[^/]*"'
  case "$1" in
    csrc/core/*)           echo "$own_core|<uv(/|\.h)" ;;
    csrc/net/tls*)         echo "$own_core|\"net/[^/]*\"|<uv(/|\.h)|<openssl/" ;;
    csrc/net/*)            echo "$own_core|\"net/[^/]*\"|<uv(/|\.h)" ;;
    csrc/proto/*_codec.*)  echo "$own_core|\"proto/[^/]*_codec\.h\"" ;;
    csrc/proto/*)          echo "$own_core|\"proto/[^/]*\"|<uv(/|\.h)" ;;
    csrc/stealth/*_codec.*) echo "$own_core|\"stealth/[^/]*_codec\.h\"" ;;
    csrc/stealth/token.*)  echo "$own_core|\"net/tls\.h\"|\"stealth/[^/]*\"|<uv(/|\.h)|<openssl/" ;;
    csrc/stealth/*)        echo "$own_core|\"net/tls\.h\"|\"stealth/[^/]*\"|<uv(/|\.h)" ;;
    csrc/ssh/libssh/*)     echo "$own_core|\"ssh/[^/]*\"|\"ssh/libssh/[^/]*\"|<uv(/|\.h)|<openssl/|<libssh/" ;;
    csrc/ssh/native/*)     echo "$own_core|\"ssh/[^/]*\"|\"ssh/native/[^/]*\"|<uv(/|\.h)|<openssl/" ;;
    csrc/ssh/*/*)          echo 'no such room' ;;
    csrc/ssh/*)            echo "$own_core|\"ssh/[^/]*\"|<uv(/|\.h)|<openssl/" ;;
    csrc/iroh/*)           echo "$own_core|\"net/net\.h\"|\"iroh/[^/]*\"|<uv(/|\.h)|<ngtcp2/" ;;
    csrc/napi/*)           echo "\"(core|net|proto|ssh|stealth|iroh|napi)/[^/]*\"|<uv(/|\.h)|<(node_api|js_native_api)\.h>" ;;
    *)                     echo 'no such room' ;;
  esac
}

complain() {
  echo "$1: $2" >&2
  bad=1
}

# Every header that a file sees, its own includes and theirs.
sees() {
  local name
  for name in $(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/p' "$1"); do
    echo "$name"
    if [ -f "csrc/$name" ]; then sees "csrc/$name"; fi
  done
}

while IFS= read -r file; do
  rule=$(allowed "$file")
  while IFS= read -r include; do
    [ -n "$include" ] || continue
    if [[ $include == '<'* ]] && ! grep -qE "^$guarded" <<<"$include"; then continue; fi
    grep -qE "^($rule)" <<<"$include" || complain "$file" "may not include $include"
    case "$file:$include" in
      csrc/napi/duplex_wrap.c:*) ;;
      csrc/napi/*:*_impl.h*) complain "$file" "may not include $include: only duplex_wrap.c is a kind of stream" ;;
    esac
  done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^>"]*[>"]).*/\1/p' "$file")
  # A macro as the include's name would get past the table.
  if grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+[A-Za-z_]' "$file" >&2; then
    complain "$file" 'includes by a macro'
  fi
  # Codecs are pure: no event loop, not even through a header of core/.
  case "$file" in
    csrc/proto/*_codec.*)
      for header in $(sees "$file" | sort -u); do
        if [ -f "csrc/$header" ] && grep -qE '#[[:space:]]*include[[:space:]]*<uv' "csrc/$header"; then
          complain "$file" "sees <uv.h> through \"$header\""
        fi
      done ;;
  esac
done < <(find csrc -name '*.[ch]' | sort)

# The two rooms of JavaScript.
while IFS= read -r file; do
  case "$file" in
    lib/binding.js) ;;
    *) if grep -nE "\.node['\"\`]|dlopen\(" "$file" >&2; then
         complain "$file" 'only lib/binding.js loads the addon'
       fi ;;
  esac
  case "$file" in
    bin/*) if grep -nE "require\(['\"](\.\./)+(lib/.+|csrc|build|test)" "$file" |
             grep -vE "lib/index(\.js)?['\"]" >&2; then
             complain "$file" 'bin/ sees only lib/index.js'
           fi ;;
  esac
done < <(find lib bin -name '*.js' 2>/dev/null | sort)

if [ "$bad" = 0 ]; then echo 'includes: every room looks only downward'; fi
exit "$bad"
